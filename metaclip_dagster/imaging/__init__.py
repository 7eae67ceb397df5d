"""Fetch and check the images of a ring: IMAGE_TEXTS -> IMAGES, and FETCHES that say how."""

from metaclip_dagster.imaging.fetches import describe_fetches
from metaclip_dagster.imaging.hints import scatter_crawl_times, scatter_digests
from metaclip_dagster.imaging.images import gather_images
from metaclip_dagster.imaging.second_source import check_pattern, needs_times
