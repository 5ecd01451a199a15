"""The schema registry: what events and messages may look like, in versions that go together.

Consumes: nothing. Emits: config-changes, when a store's schemas have changed. Owns: tables `schema_texts`,
`schema_versions`, `schema_settings`, `schema_migrations`, `schema_revisions`.
"""
