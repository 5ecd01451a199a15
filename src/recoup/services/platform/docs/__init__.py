"""`/docs`: one page that lists the routes of all services, and the merged OpenAPI document behind it.

Consumes: nothing. Emits: nothing. Owns: nothing.
"""
