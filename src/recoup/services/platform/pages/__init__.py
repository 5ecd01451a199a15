"""Files for browsers: the console, the shop's script, the demo shop, and the list of all routes.

Consumes: nothing. Emits: nothing. Owns: nothing; the files lie in `recoup/console` and `recoup/storefront`.
"""
