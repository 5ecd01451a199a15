"""Rules and their versions, destinations, secrets and deliveries in PostgreSQL."""
