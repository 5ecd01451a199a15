"""What a training set is, how a model is measured, and when it may serve. Pure."""
