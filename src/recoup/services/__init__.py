"""The seven services, in the order the data takes; they never import each other."""
