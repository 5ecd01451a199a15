"""What is known of a user before an event: orders, what they were worth, when the user was last here.

Owns `user_profile:*`. Kept up by the stream from what passes by, and written with each batch's commit.
"""
