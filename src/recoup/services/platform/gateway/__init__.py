"""The one door: takes every request from outside, finds out who asks, and passes it on to the service it is for.

Consumes: nothing. Emits: nothing. Owns: nothing.
"""
