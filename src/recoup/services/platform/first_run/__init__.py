"""The first start of an installation: its first person, their store and keys, and the file that tells them.

Consumes: nothing. Emits: config-changes. Owns: `first-run.json` in the data folder.
"""
