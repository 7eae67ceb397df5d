"""The page of the EU's public summary of training content."""
