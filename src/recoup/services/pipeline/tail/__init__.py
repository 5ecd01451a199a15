"""Shows people the events of their store as they are worked on: a sample where there are more than anybody can read.

Consumes: nothing. Emits: nothing. Owns: `tail_watches`, `tail:*`.
"""
