"""What shoppers do, as far as it matters here: who they are, what they agreed to, what they bought, what time it is.

Consumes: cart-events-enriched. Emits: nothing itself. Owns: nothing; it tells the other features.
"""
