"""The registry's doors: our own REST, Confluent's REST surface, and GraphQL, over the same actions."""
