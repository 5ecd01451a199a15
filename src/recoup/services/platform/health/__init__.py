"""Whether the whole house is well: every service, asked at once.

Consumes: nothing. Emits: nothing. Owns: nothing.
"""
