"""What happens by the clock: jobs, durable workflows, maintenance."""
