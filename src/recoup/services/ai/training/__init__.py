"""Training: from logged predictions and what became of them to a calibrated model, judged before it may serve.

For: models. Consumes nothing; reads the training set from the intelligence service's API. Emits nothing.
Owns the table `training_runs`.
"""
