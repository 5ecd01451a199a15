"""What becomes of a message: signed links, opens, clicks, dismissals, and which of them a machine made.

Consumes: nothing. Emits: intervention-events (`seen, opened, clicked, dismissed, unsubscribed`). Owns: table `touches`.
"""
