"""The page of the images that a search found in a training set."""
