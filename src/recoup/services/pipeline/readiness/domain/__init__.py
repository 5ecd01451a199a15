"""What is counted of a batch, and what the counts mean."""
