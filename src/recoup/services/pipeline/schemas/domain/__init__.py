"""Decisions about events and the schemas of their types."""
