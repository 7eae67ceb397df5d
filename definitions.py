"""The front door for Dagster: the graph bound to the deployment."""

import dagster as dg

from assets import cards, crawl, curation, metadata
from resources.common_crawl import CommonCrawl
from resources.compute import Compute
from resources.deployments import Deployment, deployment
from resources.lake import Lake
from resources.reports import Reports
from resources.sources import Sources


def bind(where: Deployment) -> dg.Definitions:
    """The graph and the resources that the deployment gives it."""
    lake = Lake(root=where.lake)
    return dg.Definitions(
        assets=dg.load_assets_from_modules([metadata, crawl, curation, cards]),
        resources={
            "lake": lake,
            "compute": Compute(lake=lake, workers=where.workers, max_failed_fraction=where.max_failed_fraction),
            "common_crawl": CommonCrawl(root=where.crawl, snapshot_pattern=where.snapshot_pattern),
            "sources": Sources(
                nltk_data=where.nltk_data,
                parts_of_speech=where.parts_of_speech,
                wikipedia_dump=where.wikipedia_dump,
                pageviews=list(where.pageviews),
            ),
            "reports": Reports(root=str(where.reports)),
        },
        executor=dg.in_process_executor,
    )


defs = bind(deployment())
