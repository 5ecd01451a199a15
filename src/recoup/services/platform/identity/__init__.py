"""People: signing in, staying signed in, signing out, second factors, passwords, invitations, and who is what where.

Consumes: nothing. Emits: nothing. Owns: tables `users`, `memberships`, `refresh_sessions`, `refresh_tokens`,
`signing_keys`, `second_factors`, `recovery_codes`, `password_resets`, `invitations`, `letters_due`; of the Valkey keys
of `RATE_LIMIT` those that count attempts; e-mails in the folder `mail` of the data folder.
"""
