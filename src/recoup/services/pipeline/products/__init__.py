"""What is known of a store's products: name, category, brand, as the shop itself last said.

Consumes: nothing. Emits: nothing. Owns `product_facts:*`. Kept up by the stream from what passes by, and written with a
batch's commit where something changed.
"""
