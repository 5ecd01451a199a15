"""What the benches share: a house to measure, a load to put on it, figures to print. Asserts nothing about time."""
