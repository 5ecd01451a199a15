"""The ways to a shopper, behind one small interface: the socket of their page, and e-mail (SMTP, or the local outbox).

Consumes: nothing. Emits: nothing. Owns: table `outbox`; keys `ws_connections:*`; the Valkey channel `interventions:frames`.
"""
