"""Predictions: who would come back to an abandoned cart, what would bring them, and why we think so.

For: interventions, the console, the shop's own systems. Consumes `cart-events-enriched`; emits `prediction-results`.
Owns the Valkey keys `prediction:…`.
"""
