"""Models: the prior, trained ones in ONNX Runtime, and the registry that knows which was live when and why.

For: predictions. Consumes and emits nothing.
Owns the tables `models`, `model_history` and the files in `<data>/models`.
"""
