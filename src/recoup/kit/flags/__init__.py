"""Feature flags: what one is, what it serves to whom, and a provider for OpenFeature. Opens nothing."""
