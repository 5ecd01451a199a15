"""Brings decided messages to people: rows claimed with a lease, asked again when due, sent, retried, ended.

Consumes: nothing. Emits: intervention-events (`delivered, failed, cancelled, expired`). Owns: table `deliveries`.
"""
