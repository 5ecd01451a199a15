"""What is known of a session before an event: since when it lasts, how many pages it has seen, how it came about.

Owns `sessions:*`, `session_pages:*`. Kept up by the stream from what passes by, and written with each batch's commit.
"""
