"""What a shop's page loads: `recoup.js`, and a demo shop that uses it. Files only; the platform serves them."""
