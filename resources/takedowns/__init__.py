"""Read the list of what is taken down, and take it out of finished tables."""
