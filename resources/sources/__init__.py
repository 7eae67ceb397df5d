"""WordNet, Wikipedia and own lists: what entries are made of."""
