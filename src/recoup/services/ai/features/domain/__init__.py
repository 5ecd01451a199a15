"""What a feature is and how the events make it: definitions, the packed state, and advancing it by a batch."""
