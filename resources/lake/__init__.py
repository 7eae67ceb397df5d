"""Tables in shards, each committed whole, and what they cost."""
