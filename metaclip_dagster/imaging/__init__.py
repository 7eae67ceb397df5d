"""Fetch and check the images of a ring: IMAGE_TEXTS -> IMAGES."""

from metaclip_dagster.imaging.images import gather_images
