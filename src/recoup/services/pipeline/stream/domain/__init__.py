"""The steps a batch passes through, in order; see `steps.STEPS`. Pure: what they need from outside comes in `Known`."""
