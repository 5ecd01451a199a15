"""The merged document, its page, and the list of error codes. Pure."""
