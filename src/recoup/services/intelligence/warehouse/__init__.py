"""Every fact in one place that can be asked.

Consumes: the event topics, predictions, interventions, conversions. Emits: only records it cannot read
(`consumer-parked`). Owns: all tables of the warehouse; `load_intents` in Valkey.
"""
