"""Who did what, when, to what: what the platform's own rooms say of their changes, and every service's besides.

Consumes: `changes-made`. Emits: `changes-made`. Owns: tables `audit_logs`, to which rows are only ever added: the
database links each to the one before and refuses update, delete and truncate, and keeps them for ever; and
`changes_begun`, from which a row goes when its outcome is known.
"""
