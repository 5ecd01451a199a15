"""API keys: secret ones for servers, publishable ones for browsers.

Consumes: nothing. Emits: nothing. Owns: table `api_keys`.
"""
