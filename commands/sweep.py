"""Train on training sets, score the models and report on them, in one backfill from images to the reports."""

import argparse
from collections.abc import Sequence

from assets.keys import MIXTURES, SUBSETS, TRAINING_SETS, Cell, rings_up_to, rung_of
from commands.backfills import Targets, find_web_server, launch
from commands.names import check_choice
from resources.deployments import deployment
from resources.instance.graphql import WebServer

REPORTS = ("sweep", "concepts")


def main(asked: argparse.Namespace) -> int:
    """Launch the sweep, by default over all sets and models; 1 if something failed."""
    models = deployment().models
    training_sets = [check_choice(name, TRAINING_SETS, "training set") for name in asked.t or TRAINING_SETS]
    chosen = [check_choice(name, models, "model") for name in asked.model or models]
    return 0 if launch_sweep(find_web_server(), training_sets, chosen, wait=not asked.no_wait) else 1


def launch_sweep(web: WebServer, training_sets: Sequence[str], models: Sequence[str], *, wait: bool) -> bool:
    """Train and score the cells and report; gives whether nothing failed. The report takes the cells that are there."""
    check_subsets(web, training_sets)
    progress = launch(web, sweep_targets(training_sets, models), "t-sweep", wait=wait)
    reports: Targets = {name: None for name in REPORTS if progress and name in progress.unmade}
    if progress and progress.status == "COMPLETED_FAILED" and reports:
        # Dagster leaves out whatever lies below a failure, and the reports lie below every cell.
        launch(web, reports, "reports of the t-sweep", wait=wait)
    return progress is None or progress.succeeded


def sweep_targets(training_sets: Sequence[str], models: Sequence[str]) -> Targets:
    """The partitions of a sweep from images to its reports; a set needs the rings of images up to its t."""
    needed = {ring for name in training_sets for ring in rings_up_to(rung_of(name))}
    rings = [ring for ring in SUBSETS if ring in needed]
    cells = [Cell(name, model).key for name in training_sets for model in models]
    return {
        "image_texts": rings,
        "images": rings,
        "training_sets": training_sets,
        "checkpoints": cells,
        "scores": cells,
        **dict.fromkeys(REPORTS),
    }


def check_subsets(web: WebServer, training_sets: Sequence[str]) -> None:
    """Raise ValueError, naming the command, unless every ring of images that the sets need has its subset."""
    _, finished = web.partitions("subsets")
    if missing := [t for t in sweep_targets(training_sets, [])["images"] or () if t not in finished]:
        ways = "; ".join(
            f"materialize subsets of {t}" if t in MIXTURES else f"`metaclip rung {t}` makes it" for t in missing
        )
        raise ValueError(f"t = {', '.join(missing)} has no subset yet; {ways}")
