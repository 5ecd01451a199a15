"""Who would come back: features, models, predictions, training, experiments, drift."""
