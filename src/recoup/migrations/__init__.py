"""The shape of the stores over time: Alembic scripts by service, numbered SQL for the warehouse."""
