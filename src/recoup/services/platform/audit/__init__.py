"""Who did what, when, to what.

Consumes: nothing. Emits: nothing. Owns: table `audit_logs`, to which rows are only ever added: the database refuses
update and delete.
"""
