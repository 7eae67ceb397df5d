"""Write the page that answers what another t would keep: the whole pool, in bins of t."""

import dagster as dg

from assets.automation import when_changed
from assets.partitions import all_snapshots
from assets.queries.exploring import version_of_pool, write_exploration
from resources.images.resource import Images
from resources.lake.resource import Lake
from resources.models.resource import Trainer
from resources.reports.resource import Reports


@dg.asset(
    deps=[
        # Texts and URLs of pairs come of their ids: where these stay, so do they.
        *(dg.AssetDep(name, partition_mapping=all_snapshots) for name in ("matches", "admissions")),
        *("entry_counts", "entries"),
    ],
    group_name="curation",
    kinds={"duckdb", "html"},
    owners=["team:data"],
    automation_condition=when_changed(),
)
def what_if(lake: Lake, reports: Reports, image_store: Images, trainer: Trainer) -> dg.MaterializeResult:
    """What any t would keep, fetch and cost, on a page with a slider over t and a search over the entries.

    What is to be fetched, and how long training takes, is as the image store and the trainings are now: `metaclip
    explore`, or this asset, makes the page again.

    Next: open the page; where a t suits that is no rung, add it to the deployment's thresholds, then `metaclip rung`.
    """
    report, links = write_exploration(lake, reports, image_store.root, trainer)
    numbers = {"stops": len(report["stops"]), "entries": report["entries"]["listed"]}
    pairs = sum(sum(language["pairs"]) for language in report["languages"].values())
    version = dg.DataVersion(version_of_pool(lake))
    return dg.MaterializeResult(metadata={"pairs": pairs, **numbers, **links}, data_version=version)
