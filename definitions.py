"""The front door for Dagster: the graph bound to the deployment."""

import warnings
from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets import automation, cards, crawl, curation, evaluation, explain, metadata, training
from resources.common_crawl import CommonCrawl
from resources.compute import Compute
from resources.deployments import Deployment, deployment
from resources.images import Images
from resources.lake import Lake
from resources.open_clip import Trainer
from resources.reports import Reports
from resources.sources import Sources
from resources.zero_shot import ZeroShot


def bind(where: Deployment) -> dg.Definitions:
    """The graph and the resources that the deployment gives it."""
    lake = Lake(root=where.lake)
    common_crawl = CommonCrawl(root=where.crawl, snapshot_pattern=where.snapshot_pattern)
    return dg.Definitions(
        assets=_with_sources(dg.load_assets_from_modules([metadata, crawl, curation, cards, training, evaluation])),
        resources={
            "lake": lake,
            "compute": Compute(lake=lake, workers=where.workers, max_failed_fraction=where.max_failed_fraction),
            "common_crawl": common_crawl,
            "sources": Sources(
                nltk_data=where.nltk_data,
                parts_of_speech=where.parts_of_speech,
                wikipedia_dump=where.wikipedia_dump,
                pageviews=list(where.pageviews),
            ),
            "reports": Reports(root=str(where.reports)),
            "image_store": Images(root=str(where.images), num_buckets=where.image_buckets, common_crawl=common_crawl),
            "trainer": Trainer(root=str(where.checkpoints), device=where.device, loader_workers=where.loader_workers),
            "zero_shot": ZeroShot(folders=list(where.tasks), checkpoints=str(where.checkpoints), device=where.device),
        },
        sensors=automation.sensors(where),
        schedules=automation.schedules(),
        jobs=[explain.explain],
        executor=dg.in_process_executor,
    )


def _with_sources(assets: Sequence[Any]) -> Sequence[Any]:
    """The same assets, each with the place of its code, which the UI links."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.with_source_code_references(assets)


defs = bind(deployment())
