"""The world: disk, web, engines. No method here."""
