"""What a cart is and what happens to it (`cart`), and the carts of this process side by side (`table`)."""
