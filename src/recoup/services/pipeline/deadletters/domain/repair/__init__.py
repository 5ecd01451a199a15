"""Mends broken events by search: read the text, find the event in it, give each value its place, make each value fit.

No list of known damages. Each of the four steps has general operators and yields alternatives; what a store's valid
events look like (`profile`) says how likely each is; where two different outcomes are near each other, nothing is sure.
"""
