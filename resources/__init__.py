"""The world around the method: disks, the web, engines and models."""
