"""A store's feature flags, in versions, and which of them nobody needs any more.

Consumes: nothing; every process says over HTTP which flags it asked for. Emits: config-changes, by `stores`. Owns:
tables `feature_flags`, `flag_history`, `flag_revisions`, `flag_uses`.
"""
