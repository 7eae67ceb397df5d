"""Make a threshold t that was added to the deployment, and list the partitions that it makes outdated."""

import argparse

from assets.keys import THRESHOLDS, Cell
from assets.queries.provenance import find_outdated
from commands.backfills import Targets, find_web_server, launch
from metaclip_dagster.balancing import parse_threshold
from resources.deployments import deployment
from resources.instance.graphql import WebServer
from resources.lake.resource import Lake, open_lake


def main(asked: argparse.Namespace) -> int:
    """Make the rung; 1 if something failed."""
    web = find_web_server()
    progress = launch(web, rung_targets(web, asked.t), f"rung t = {asked.t}", wait=not asked.no_wait)
    if progress:
        print_outdated(open_lake(deployment()))
    return 0 if progress is None or progress.succeeded else 1


def rung_targets(web: WebServer, t: str) -> Targets:
    """The partitions that a new rung adds or changes: its subset and card, its ring of images and the one above.

    The ring above begins at the new rung from now on. Rings that nobody has asked for yet are left to the sweep.
    Raises ValueError for what is no rung, saying how it becomes one.
    """
    if t not in THRESHOLDS:
        rungs = ",".join(sorted({t, *THRESHOLDS}, key=parse_threshold))
        raise ValueError(
            f"t = {t} is no rung of this deployment, which has {', '.join(THRESHOLDS)}: "
            f"set METACLIP_THRESHOLDS={rungs}, start `metaclip ui` again with it, then `metaclip rung {t}`"
        )
    registered, with_subset = web.partitions("subsets")
    if t not in registered:
        raise ValueError(f"{web.url} was started without the rung {t}; start `metaclip ui` again")
    _, with_images = web.partitions("images")
    above = THRESHOLDS[THRESHOLDS.index(t) + 1 :]
    # The next one up may be a new rung too, whose own command comes later.
    is_fetched = any(ring in with_images for ring in above)
    rings = [t, *(ring for ring in above[:1] if ring in with_subset)] if is_fetched else []
    return {"subsets": [t], "data_cards": [t], **({"image_texts": rings, "images": rings} if rings else {})}


def print_outdated(lake: Lake) -> None:
    """A line for each partition that is made of what is no longer there, and how it is made again."""
    outdated = {asset: reasons for asset, reasons in find_outdated(lake).items() if reasons}
    for asset, reasons in outdated.items():
        for key, why in reasons.items():
            print(f"outdated: {asset} of {key}: {why}")
    sets, models = outdated.get("training_sets", {}), {Cell.of(key).model for key in outdated.get("checkpoints", {})}
    if sets and models:
        options = " ".join([*(f"--t {key}" for key in sets), *(f"--model {model}" for model in sorted(models))])
        print(f"`metaclip sweep {options}` makes the training sets again, and what is trained on them")
    elif sets:
        print(f"materialize training_sets of {', '.join(sets)} again")
