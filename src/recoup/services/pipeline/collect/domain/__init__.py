"""What a request's bytes mean: `reading` makes events or refusals of them, `rows` makes columns of events."""
