"""What is counted, what is expected, and what an anomaly is. Pure."""
