"""Metrics: what every service exports, gathered, kept for a while, and summed up for the business.

Consumes: `GET /metrics` of every service. Emits: the business gauges.
Owns: table `points`.
"""
