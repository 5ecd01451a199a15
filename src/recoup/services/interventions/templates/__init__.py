"""What a message says: the built-in, versioned templates and how they are filled in.

Consumes: nothing. Emits: nothing. Owns: the files in `builtin/`.

Variables of every template: `shop` (name), `name` (the shopper's, may be empty), `items` (`name, quantity, price,
total`), `more` (how many items are not listed), `total`, `action` (reminder, urgency, discount), `percent`,
`coupon`, `links`
(`cart, shop, unsubscribe, open`), `locale`.
"""
