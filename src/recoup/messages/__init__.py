"""The facts that cross services: events and their schema, messages, topics, key patterns, who may do what."""
