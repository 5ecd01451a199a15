"""`/docs`: one page of the routes of all services and of every error code, and the merged OpenAPI document.

Consumes: nothing. Emits: nothing. Owns: nothing.
"""
