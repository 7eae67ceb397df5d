"""Fetch and check the images of a ring: IMAGES."""

from metaclip_dagster.imaging.images import gather_images

__all__ = ["gather_images"]
