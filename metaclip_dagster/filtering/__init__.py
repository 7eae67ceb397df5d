"""Score images, and say which of them a training set leaves out."""

from metaclip_dagster.filtering.verdicts import hash_samples, judge_images, score_images
