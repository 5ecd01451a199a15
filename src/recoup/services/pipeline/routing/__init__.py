"""A store's rules that copy enriched events to further topics and to signed webhooks, each behind its own bulkhead.

Consumes: cart-events-enriched, once some store has a rule. Emits: topics of stores' own, calls to their receivers.
Owns: tables `routing_changes`, `routing_rules`, `routing_destinations`, `routing_secrets` and `routed_deliveries` in
the schema `pipeline`, and topics named `routed-…`.
"""
