"""Score images, and say which of them a training set leaves out."""

from metaclip_dagster.filtering.column_verdicts import judge_columns
from metaclip_dagster.filtering.near_images import find_near_images, scatter_looks
from metaclip_dagster.filtering.pair_scoring import score_pairs
from metaclip_dagster.filtering.scoring import hash_samples, score_images
from metaclip_dagster.filtering.verdicts import judge_images
