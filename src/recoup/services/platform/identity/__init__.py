"""People: signing in, staying signed in, signing out, and who is what in which store.

Consumes: nothing. Emits: nothing. Owns: tables `users`, `refresh_sessions`, `refresh_tokens`, `signing_keys`, and the
Valkey keys of `RATE_LIMIT`.
"""
