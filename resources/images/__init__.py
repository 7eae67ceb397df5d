"""Images by id: where they come from, and the store that keeps them."""
