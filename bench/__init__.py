"""Benches: one file a promise; `python -m bench` runs them."""
