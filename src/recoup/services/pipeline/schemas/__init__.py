"""What a store's registered schemas say of its events: which it may send, what is wrong with one, how old ones rise.

Consumes: nothing; the platform's registry is asked when `config-changes` says that a store's schemas have changed.
Emits: nothing. Owns `schema_cache:*`, `store_config:*`.
"""
