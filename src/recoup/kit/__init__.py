"""What knows no word of our domain: clients of the engines, clock, ids, errors, processes."""
