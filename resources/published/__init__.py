"""Keep the folders of what is given away: each changes as a whole, with checksums of all its files."""
