"""Which cells and baselines of a sweep may stand side by side, and why the others may not."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metaclip_dagster.reporting.sweeps.cells import TrainedCell, by_recipe, set_order

Rows = Sequence[Mapping[str, Any]]  # of SCORES


def judge_cells(cells: Sequence[TrainedCell], versions: Mapping[str, str]) -> list[tuple[TrainedCell, str | None]]:
    """Every cell in order, with why it is compared with none, if so; `versions` are those of the tasks.

    Raises ValueError where two cells claim the same training set, recipe and seed.
    """
    claims = Counter((cell.training_set, cell.recipe, cell.seed) for cell in cells)
    for (training_set, recipe, seed), num in claims.items():
        if num > 1:
            raise ValueError(f"{num} cells of {recipe} on {training_set} have seed {seed}; give each its own seed")
    ordered = sorted(cells, key=lambda cell: (cell.recipe, *set_order(cell.training_set), cell.seed))
    shared = {recipe: _shared_training(of) for recipe, of in by_recipe(ordered).items()}
    return [(cell, _why_not(cell, shared[cell.recipe], versions)) for cell in ordered]


def judge_baselines(baselines: Mapping[str, Rows], versions: Mapping[str, str]) -> list[tuple[str, Rows, str | None]]:
    """Each baseline by name with its scores, and why they are not compared, if so."""
    return [(model, rows, _other_tasks(rows, versions)) for model, rows in sorted(baselines.items())]


def task_versions(cells: Iterable[TrainedCell], baselines: Mapping[str, Rows]) -> dict[str, str]:
    """The version of each task that most cells were scored on; of one that no cell was, that of most baselines."""
    return _most(baselines.values()) | _most(cell.rows() for cell in cells if not unfit(cell))


def unfit(cell: TrainedCell) -> str | None:
    """Why a cell can be compared with none, whatever the others are."""
    scored = {row["pairs_seen"] for row in cell.rows()}
    if cell.outdated or not scored:
        return cell.outdated or "is trained but not scored"
    return None if scored == {cell.pairs_seen} else "has scores of other weights: score it again"


def _shared_training(cells: Sequence[TrainedCell]) -> tuple[int, str]:
    """Pairs seen and recipe that most training sets share; of ties, what most cells have, then more pairs."""
    fit = [cell for cell in cells if not unfit(cell)] or cells
    each = Counter((cell.pairs_seen, cell.trained_by) for cell in fit)
    sets = Counter(own for own, _ in {((cell.pairs_seen, cell.trained_by), cell.training_set) for cell in fit})
    return max(each, key=lambda own: (sets[own], each[own], own))


def _why_not(cell: TrainedCell, shared: tuple[int, str], versions: Mapping[str, str]) -> str | None:
    pairs_seen, trained_by = shared
    if why := unfit(cell):
        return why
    if cell.pairs_seen != pairs_seen:
        return f"saw {cell.pairs_seen:,} pairs, not {pairs_seen:,}"
    if cell.trained_by != trained_by:
        own, others = json.loads(cell.trained_by), json.loads(trained_by)
        odd = [name for name in sorted({*own, *others}) if own.get(name) != others.get(name)]
        return f"was trained with {', '.join(f'{name} {own.get(name)}, not {others.get(name)}' for name in odd)}"
    return _other_tasks(cell.rows(), versions)


def _other_tasks(rows: Rows, versions: Mapping[str, str]) -> str | None:
    odd = sorted(task for task, version in _scored(rows) if versions[task] != version)
    return f"was scored on another version of {', '.join(odd)}: score it again" if odd else None


def _most(of_each: Iterable[Rows]) -> dict[str, str]:
    found = Counter(scored for rows in of_each for scored in _scored(rows))
    return {task: version for (task, version), _ in sorted(found.items(), key=lambda item: (item[1], item[0]))}


def _scored(rows: Rows) -> set[tuple[str, str]]:
    """Tasks with their versions."""
    return {(row["task"], row["task_version"]) for row in rows}
