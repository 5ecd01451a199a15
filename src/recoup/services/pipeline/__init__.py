"""From a shopper's event to a tracked cart: collect, stream, carts, deadletters."""
