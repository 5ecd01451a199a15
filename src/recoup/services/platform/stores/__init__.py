"""Stores and their settings, in versions.

Consumes: nothing. Emits: config-changes. Owns: tables `stores`, `store_settings`, `memberships` (with identity, which
only reads them).
"""
