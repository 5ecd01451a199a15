"""Where decisions and their limits are kept: rows in PostgreSQL, contact times in Valkey."""
