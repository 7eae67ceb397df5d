"""Read what the deployment fixes before anything runs: rungs, models and defaults of configs."""

from resources.deployments import Deployment, deployment

DEFAULTS = deployment()

COMPARED = (
    "thresholds", "languages", "own_lists", "budget", "min_count", "min_pmi", "min_views", "titles_in_dump_only",
    "num_buckets", "group_size", "pairs_to_see", "filters", "named_filters", "near_duplicate_distance",
    "leakage_distance", "language_id", "vocab_size", "mixtures",
)  # fmt: skip
"""The fields of the deployment that partitions, defaults of configs and stages are made of, with `models`."""


def check_deployment(where: Deployment) -> None:
    """Raise ValueError, naming the fields, unless the graph that is imported here is that of the deployment, too.

    Its models may be some of the graph's. All else, folders and addresses among it, is bound with the resources.
    """
    others = [name for name in COMPARED if getattr(where, name) != getattr(DEFAULTS, name)]
    others += [] if {*where.models} <= {*DEFAULTS.models} else ["models"]
    if others:
        raise ValueError(
            f"the deployment {where.name} has other {', '.join(others)} than this process was started with, whose "
            "partitions and defaults are built at import: set METACLIP_DEPLOYMENT, and what it needs, for a process of "
            "its own"
        )
