"""Tells the other services what happened here, at least once and only if it really happened.

A message is written in the same transaction as the change it tells of (`announce`), and published from there; a crash
between the two publishes it later, and its derived id makes a repeat harmless.

Consumes: nothing. Emits: intervention-events, conversion-events. Owns: table `announcements`.
"""
