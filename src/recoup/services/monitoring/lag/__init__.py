"""Lag: how far every reader of the log is behind, on either engine, for the dashboards and the alerts.

Consumes: the log's own account of its groups. Emits: the gauge `consumer_lag_records`.
Owns: nothing.
"""
