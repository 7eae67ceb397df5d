"""Train on training sets, score the models and report on them, in one backfill from images to the reports."""

import argparse
from collections.abc import Sequence

from assets.keys import MIXTURES, SUBSETS, THRESHOLDS, TRAINING_SETS, Cell, rings_up_to, rung_of
from assets.queries.costs_of_sweep import SweepCost, predict_sweep
from commands.backfills import Targets, find_web_server, launch
from commands.names import check_choice
from resources.deployments import deployment
from resources.instance.graphql import WebServer
from resources.lake.resource import open_lake

REPORTS = ("sweep", "concepts")


def main(asked: argparse.Namespace) -> int:
    """Say what the sweep costs, and launch it, by default over all sets and models; 1 if something failed."""
    where = deployment()
    training_sets = choose_sets(asked.t or [], asked.filters or [])
    chosen = [check_choice(name, where.models, "model") for name in asked.model or where.models]
    print(render_cost(predict_sweep(where, open_lake(where), training_sets, chosen)), flush=True)
    if asked.predict:
        return 0
    return 0 if launch_sweep(find_web_server(), training_sets, chosen, wait=not asked.no_wait) else 1


def choose_sets(names: Sequence[str], filters: Sequence[str]) -> list[str]:
    """The training sets named, by default all; with filters every t by every one of these."""
    by_filters = [f"{t}-{name}" for t in names or THRESHOLDS for name in filters]
    chosen = by_filters if filters else names or TRAINING_SETS
    return [check_choice(name, TRAINING_SETS, "training set") for name in chosen]


def render_cost(cost: SweepCost) -> str:
    """What a sweep will cost, in a line for training and one for each filter that scores."""
    trained = f", {cost.trained:,} of them trained" if cost.trained else ""
    lines = [f"{cost.cells:,} cells{trained}: {cost.pairs_to_see:,} pairs to see, {_spell(cost.training_seconds)}"]
    lines += [f"at most {num:,} pairs to score by {name}" for name, num in cost.pairs_to_score.items()]
    if any(cost.pairs_to_score.values()):
        lines.append(f"scoring: {_spell(cost.scoring_seconds)}")
    return "\n".join(lines)


def _spell(seconds: float | None) -> str:
    return "CPU seconds unknown: nothing of the kind is made yet" if seconds is None else f"{seconds:,.0f} CPU seconds"


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
