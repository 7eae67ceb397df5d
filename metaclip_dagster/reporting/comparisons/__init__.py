"""The page that sets two sides of a comparison beside each other."""
