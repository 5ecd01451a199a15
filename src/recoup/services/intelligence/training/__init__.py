"""Training sets: what was predicted, with the features as they were then, and what became of it.

Consumes: nothing; asks the warehouse. Emits: nothing. Owns: nothing.
"""
