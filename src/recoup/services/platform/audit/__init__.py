"""Who did what, when, to what: what the platform's own rooms say of their changes, and every service's besides.

Consumes: `changes-made`. Emits: `changes-made`. Owns: table `audit_logs`, to which rows are only ever added: the
database links each to the one before and refuses update, delete and truncate. Rows are kept for ever.
"""
