"""Whether, how and when to act, and what it brought: decisions, deliveries, tracking, attribution."""
