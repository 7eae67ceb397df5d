"""Embed the images of a training set with a model that was trained on it, so that they can be searched."""

import dagster as dg

from assets.checks import check_specs, every_image_embedded
from assets.evaluation import Scoring, find_model
from assets.keys import Cell
from assets.partitions import by_training_set, cells
from assets.queries.provenance import record_parents
from assets.tags import tag_run
from metaclip_dagster.evaluation import embed_images
from resources.engines.resource import Compute
from resources.images.resource import Images
from resources.lake.resource import Lake
from resources.tasks.resource import ZeroShot


@dg.asset(
    partitions_def=cells,
    deps=["checkpoints", dg.AssetDep("training_sets", partition_mapping=by_training_set)],
    group_name="evaluation",
    kinds={"pytorch", "parquet"},
    owners=["team:models"],
    pool="gpu",
    check_specs=check_specs("image_embeddings", every_image_embedded, partitions=cells),
)
@tag_run
def image_embeddings(
    context: dg.AssetExecutionContext,
    config: Scoring,
    lake: Lake,
    compute: Compute,
    image_store: Images,
    zero_shot: ZeroShot,
) -> dg.MaterializeResult:
    """Where the cell's model puts each image of its training set, so that `metaclip search` finds it.

    Made by the first search of a cell, and again by the first after its set or its weights were made anew.

    Next: `metaclip search`, by a text or a picture.
    """
    cell = Cell.of(context.partition_key)
    facts = record_parents(lake, "image_embeddings", cell.key)
    _, model = find_model(lake, zero_shot, cell)
    shards = {key: {"training_set": rows} for key, rows in lake.shards("training_sets", cell.training_set).items()}
    manifest = compute.map_shards(
        context,
        embed_images,
        shards,
        setup={"model": model, "store": image_store.store()},
        options=config.model_dump(),
        facts=facts,
        inline=True,
        whole=True,  # what is missing would be missed by every search, unseen
    )
    check = every_image_embedded(manifest, lake.manifest("training_sets", cell.training_set).rows)
    return compute.result(manifest, checks=[check])
