"""Webhooks of shop platforms: signature over the raw bytes, written down, acknowledged, and only then understood.

Consumes: requests. Emits: what the collector emits; dead letters for deliveries that nobody can read. Owns: tables
`webhook_secrets`, `webhook_deliveries`, `webhook_memory` and `privacy_requests` in the schema `pipeline`. Knows
`foreign`.
"""
