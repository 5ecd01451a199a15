"""The doors of sign-in, of one's own account, and of a store's team."""
