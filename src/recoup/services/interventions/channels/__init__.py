"""The ways to a shopper, behind one small interface: the socket of their page, and e-mail by SMTP or the outbox.

Consumes: nothing. Emits: nothing. Owns: table `outbox`; keys `ws_connections:*`; Valkey channel `interventions:frames`.
"""
