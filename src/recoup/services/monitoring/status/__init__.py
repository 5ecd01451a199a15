"""Status: how every process is, as it says itself and as the supervisor sees it, and what the machine gives.

Consumes: `GET /health/ready` of every service; the supervisor's status file, where there is one. Emits: gauges.
Owns: nothing.
"""
