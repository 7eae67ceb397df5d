"""What entries are made of: WordNet, Wikipedia and users' own lists."""
