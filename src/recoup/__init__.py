"""Recoup: a self-hosted, real-time cart-recovery platform."""

__version__ = "0.1.0"
