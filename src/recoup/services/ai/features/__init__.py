"""Online features: what is known of a cart and its shopper at this moment, from the events so far.

For: predictions, training (the values are logged with every prediction) and anyone who asks `GET /features/{cart_id}`.
Consumes `cart-events-enriched` (through predictions, whose batches it advances). Emits nothing.
Owns the Valkey keys `features:…`, `session_features:…`, `user_features:…`.
"""
