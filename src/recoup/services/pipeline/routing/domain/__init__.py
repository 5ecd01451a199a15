"""What a rule says, which rows it means, what a receiver gets and when it gets it again. Pure."""
