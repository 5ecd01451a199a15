"""Recoup: a self-hosted, real-time cart-recovery platform."""
