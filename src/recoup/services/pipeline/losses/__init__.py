"""What was lost when Valkey came back empty: noticed, said in figures, and shown to whoever runs the house.

Consumes and emits nothing. Owns: `pipeline_epoch` and `pipeline_loss` in Valkey, which go with it.
"""
