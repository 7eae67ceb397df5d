"""Choose the texts that a training set leaves out: by scores beside their images, and by numbers of their pool."""

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets.defaults import DEFAULTS
from assets.filters import Filtering, gather_known, list_scorers
from assets.keys import SUBSETS
from assets.pool import group_shards, snapshots_of
from assets.queries.parsers import NUMBERS
from metaclip_dagster.filtering import judge_columns, score_pairs
from metaclip_dagster.filters import identify_scorer, load_scorers
from resources.deferred import Deferred, defer
from resources.engines.resource import Compute
from resources.images.resource import Images


def score_texts(
    context: dg.AssetExecutionContext,
    config: Filtering,
    compute: Compute,
    image_store: Images,
    *,
    t: str,
    texts: Mapping[str, Deferred],
    images: Mapping[str, Deferred],
) -> tuple[dict[str, dict[str, Deferred]], dict[str, Any]]:
    """PAIR_SCORES of D(t), by bucket, and as options the limits to them; neither where no filter sees texts."""
    filters = {identify_scorer(name): limits for name, limits in config.pair_filters.items()}
    if not filters:
        return {}, {}
    # A model is known by its digest, in its scorer's name.
    known = gather_known(compute, "pair_scores", score_pairs, partitions=SUBSETS, buckets=texts)
    shards = {key: {"texts": texts[key], "images": images[key], "known": known[key]} for key in texts}
    names = sorted(identify_scorer(name) for name in list_scorers(config, texts=True))
    setup = {"store": image_store.store(), "scorers": defer(load_scorers, tuple(names))}
    compute.map_shards(context, score_pairs, shards, table="pair_scores", partition=t, setup=setup, whole=True)
    scored = compute.lake.shards("pair_scores", t)
    return {"pair_scores": {key: scored[key] for key in shards}}, {"pair_filters": filters}


def judge_texts(
    context: dg.AssetExecutionContext,
    config: Filtering,
    compute: Compute,
    *,
    t: str,
    buckets: Mapping[str, int],
) -> dict[str, dict[str, Deferred]]:
    """For each bucket the pairs of D(t) that go by a number of their pool; none where no column has limits.

    Raises dg.Failure for a column that no pool of the subset keeps: every pair would go.
    """
    limits, lake = config.column_filters, compute.lake
    if not limits:
        return {}
    pools = lake.finished("pool_columns", snapshots_of(lake.manifest("subsets", t)))
    columns = {name for key in pools for name in json.loads(lake.manifest("pool_columns", key).inputs[NUMBERS])}
    if unknown := sorted(limits.keys() - columns):
        raise dg.Failure(
            f"no pool of t = {t} keeps {', '.join(unknown)}; kept are {', '.join(sorted(columns)) or 'none'}: name it "
            "in `numbers` of the pool's line in pools.json, and materialize pairs of the pool",
            allow_retries=False,
        )
    numbers = {f"{key}/{shard}": of for key in pools for shard, of in lake.shards("pool_columns", key).items()}
    shards = {
        group: {"subset": subset, "columns": {shard: numbers[shard] for shard in subset if shard in numbers}}
        for group, subset in group_shards(lake.shards("subsets", t), DEFAULTS.group_size).items()
    }
    options = {"limits": limits, "num_buckets": len(buckets)}
    partition = context.partition_key
    compute.map_shards(
        context, judge_columns, shards, table="pair_verdicts", partition=partition, options=options, whole=True
    )
    verdicts = lake.where_each("pair_verdicts", "bucket", buckets.values(), partitions=[partition])
    return {"pair_verdicts": {key: verdicts[bucket] for key, bucket in buckets.items()}}
