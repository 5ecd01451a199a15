"""What time it is in a store: ours, or as far as its own events have come.

Consumes: `clock` rows (through `shoppers`). Emits: nothing. Owns: table `clocks`.
"""
