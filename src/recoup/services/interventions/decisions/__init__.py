"""Decides about every abandoned cart, once: contact, hold out, or skip, with the answer of every rule that was asked.

Consumes: prediction-results. Emits: intervention-events (`decided`). Owns: tables `carts`,
`interventions`; keys `contacts:*`.
"""
