"""The cart board: every cart in its stage, and one cart's whole story with why and why not.

Consumes: nothing; asks the warehouse. Emits: nothing. Owns: nothing; the `carts` table is
filled by the loading of events.
"""
