"""What every way in from other people's software shares: how their values become ones that an event can carry.

Consumes: nothing. Emits: nothing. Owns: nothing.
"""
