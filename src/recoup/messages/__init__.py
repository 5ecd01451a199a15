"""The facts that cross services: events and their Arrow schema, every message type, topic and key pattern, who may do what."""
