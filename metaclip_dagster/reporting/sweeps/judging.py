"""Decide which cells and baselines of a sweep may stand side by side, and why the others may not."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from metaclip_dagster.reporting.sweeps.cells import TrainedCell, group_by_recipe
from metaclip_dagster.reporting.sweeps.pools import PoolVersion, choose_pool, why_apart
from metaclip_dagster.reporting.sweeps.scores import Json
from metaclip_dagster.reporting.sweeps.training_sets import rank_set

Rows = Sequence[Json]  # of SCORES


@dataclass(frozen=True)
class Judged:
    """Which pool is compared, which version of each task, and of every cell why it is compared with none, if so."""

    pool: PoolVersion | None
    versions: Mapping[str, str]
    cells: Sequence[tuple[TrainedCell, str | None]]

    @property
    def fit(self) -> list[TrainedCell]:
        """The cells that may stand side by side."""
        return [cell for cell, not_compared in self.cells if not_compared is None]


def judge_sweep(
    cells: Sequence[TrainedCell], pools: Mapping[str, PoolVersion | None], baselines: Mapping[str, Rows]
) -> Judged:
    """Choose the pool and the versions of tasks that are compared, and judge every cell by them.

    `pools` are those of the training sets, by name. Raises ValueError as `judge_cells` does.
    """
    pool = choose_pool([(cell.training_set, cell.pool) for cell in cells if not why_unfit(cell)], pools)
    cells = [replace(cell, outdated=cell.outdated or why_apart(cell.pool, pool)) for cell in cells]
    versions = choose_versions(cells, baselines)
    return Judged(pool, versions, judge_cells(cells, versions))


def judge_cells(cells: Sequence[TrainedCell], versions: Mapping[str, str]) -> list[tuple[TrainedCell, str | None]]:
    """Every cell in order, with why it is compared with none, if so; `versions` are those of the tasks.

    Raises ValueError where two cells claim the same training set, recipe and seed.
    """
    claims = Counter((cell.training_set, cell.recipe, cell.seed) for cell in cells)
    for (training_set, recipe, seed), num in claims.items():
        if num > 1:
            raise ValueError(f"{num} cells of {recipe} on {training_set} have seed {seed}; give each its own seed")
    ordered = sorted(cells, key=lambda cell: (cell.recipe, *rank_set(cell.training_set), cell.seed))
    trainings = {recipe: _choose_training(of_recipe) for recipe, of_recipe in group_by_recipe(ordered).items()}
    return [(cell, _why_not_compared(cell, trainings[cell.recipe], versions)) for cell in ordered]


def judge_baselines(baselines: Mapping[str, Rows], versions: Mapping[str, str]) -> list[tuple[str, Rows, str | None]]:
    """Each baseline by name with its scores, and why they are not compared, if so."""
    return [(model, rows, _why_other_tasks(rows, versions)) for model, rows in sorted(baselines.items())]


def choose_versions(cells: Iterable[TrainedCell], baselines: Mapping[str, Rows]) -> dict[str, str]:
    """The version of each task that most cells were scored on; of one that no cell was, that of most baselines."""
    of_baselines = _choose_most_common(baselines.values())
    return of_baselines | _choose_most_common(cell.rows() for cell in cells if not why_unfit(cell))


def why_unfit(cell: TrainedCell) -> str | None:
    """Why a cell can be compared with none, whatever the others are."""
    pairs_seen = {row["pairs_seen"] for row in cell.rows()}
    if cell.outdated or not pairs_seen:
        return cell.outdated or "is trained but not scored"
    return None if pairs_seen == {cell.pairs_seen} else "has scores of other weights: score it again"


def _choose_training(cells: Sequence[TrainedCell]) -> tuple[int, str]:
    """Pairs seen and recipe that most training sets share; of ties, what most cells have, then more pairs."""
    fit = [cell for cell in cells if not why_unfit(cell)] or cells
    num_cells = Counter((cell.pairs_seen, cell.trained_by) for cell in fit)
    sets = {((cell.pairs_seen, cell.trained_by), cell.training_set) for cell in fit}
    num_sets = Counter(training for training, _ in sets)
    return max(num_cells, key=lambda training: (num_sets[training], num_cells[training], training))


def _why_not_compared(cell: TrainedCell, training: tuple[int, str], versions: Mapping[str, str]) -> str | None:
    pairs_seen, trained_by = training
    if why := why_unfit(cell):
        return why
    if cell.pairs_seen != pairs_seen:
        return f"saw {cell.pairs_seen:,} pairs, not {pairs_seen:,}"
    if cell.trained_by != trained_by:
        recipe, compared = json.loads(cell.trained_by), json.loads(trained_by)
        fields = [name for name in sorted({*recipe, *compared}) if recipe.get(name) != compared.get(name)]
        return f"was trained with {', '.join(f'{n} {recipe.get(n)}, not {compared.get(n)}' for n in fields)}"
    return _why_other_tasks(cell.rows(), versions)


def _why_other_tasks(rows: Rows, versions: Mapping[str, str]) -> str | None:
    tasks = sorted(task for task, version in _list_versions(rows) if versions[task] != version)
    return f"was scored on another version of {', '.join(tasks)}: score it again" if tasks else None


def _choose_most_common(every: Iterable[Rows]) -> dict[str, str]:
    num_scored = Counter(version for rows in every for version in _list_versions(rows))
    return {task: version for (task, version), _ in sorted(num_scored.items(), key=lambda item: (item[1], item[0]))}


def _list_versions(rows: Rows) -> set[tuple[str, str]]:
    return {(row["task"], row["task_version"]) for row in rows}
