"""The page that sets a pool or subset beside counts that others published."""
