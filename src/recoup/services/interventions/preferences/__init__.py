"""Who a shopper is to us, how they can be reached, and what they asked for.

Consumes: user_identified, consent_updated, order_completed (through `shoppers`), risk-signals. Emits: nothing.
Owns: tables `identities`, `people`, `preferences`, `suppressions`, `risks`.
"""
