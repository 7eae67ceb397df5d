"""Predict what a sweep will cost before it is launched: cells to train, and pairs that filters are to score."""

from collections.abc import Sequence
from dataclasses import dataclass

from assets.defaults import DEFAULTS
from assets.keys import THRESHOLDS, Cell, filters_of, t_of
from assets.queries.costs_of_t import seconds_per_pair
from metaclip_dagster.filters import sees_texts
from metaclip_dagster.training import recipe_of
from resources.deployments import Deployment
from resources.lake.resource import Lake
from resources.models.resource import Trainer


@dataclass(frozen=True)
class SweepCost:
    """What a sweep has to do, and what is known of its CPU seconds from what was done of the kind."""

    cells: int
    trained: int
    """Of these, cells that have a checkpoint, current or not."""
    pairs_to_see: int
    """By the cells that have none."""
    training_seconds: float | None
    """None where a model of the same architecture was never trained."""
    pairs_to_score: dict[str, int]
    """By filter that sees texts, pairs without a score: at most, for some of their images may not be there."""
    scoring_seconds: float | None
    """For all of them; None where nothing was scored yet."""


def predict_sweep(where: Deployment, lake: Lake, training_sets: Sequence[str], models: Sequence[str]) -> SweepCost:
    """What training these models on these sets, and making the sets, will cost."""
    cells = [Cell(name, model) for name in training_sets for model in models]
    trained = set(lake.finished("checkpoints", [cell.key for cell in cells]))
    spent: dict[str, list[float]] = {}
    for (_, architecture), seconds in seconds_per_pair(Trainer(root=str(where.checkpoints)), lake):
        spent.setdefault(architecture, []).append(seconds)
    architectures = [recipe_of(cell.model)[0].architecture for cell in cells if cell.key not in trained]
    is_known = all(architecture in spent for architecture in architectures)
    pairs_to_score = _count_unscored(lake, training_sets)
    seconds_a_score = _measure_scoring(lake)
    return SweepCost(
        cells=len(cells),
        trained=len(trained),
        pairs_to_see=len(architectures) * where.pairs_to_see,
        training_seconds=sum(
            where.pairs_to_see * sum(spent[architecture]) / len(spent[architecture]) for architecture in architectures
        )
        if is_known
        else None,
        pairs_to_score=pairs_to_score,
        scoring_seconds=None if seconds_a_score is None else seconds_a_score * sum(pairs_to_score.values()),
    )


def _count_unscored(lake: Lake, training_sets: Sequence[str]) -> dict[str, int]:
    """Pairs of the largest t that is filtered, less those of the largest t that is scored; smaller ones are in both."""
    filtered = [name for name in training_sets if filters_of(name)]
    if not filtered:
        return {}
    configs = DEFAULTS.named_filters.values()  # sets of one t share their scores
    scorers = sorted({name for config in configs for name in config.get("filters", {}) if sees_texts(name)})
    largest = max(THRESHOLDS.index(t_of(name)) for name in filtered)
    subset = lake.store("subsets", THRESHOLDS[largest]).manifest()
    scored = {t: _list_scorers(lake, t) for t in lake.finished("pair_scores", THRESHOLDS)}
    counts = {}
    for scorer in scorers:
        rungs = [THRESHOLDS.index(t) for t, names in scored.items() if scorer in names]
        known = lake.manifest("subsets", THRESHOLDS[max(rungs)]).rows if rungs else 0
        counts[scorer] = max(0, (subset.rows if subset else 0) - known)
    return counts


def _list_scorers(lake: Lake, t: str) -> set[str]:
    rows = lake.dataset("pair_scores", [t]).head(1, columns=["scores"]).to_pylist()
    return {score["filter"].partition("@")[0] for row in rows for score in row["scores"]}


def _measure_scoring(lake: Lake) -> float | None:
    """CPU seconds a pair of all that was scored, reading and decoding its image among them."""
    manifests = [lake.manifest("pair_scores", t) for t in lake.finished("pair_scores", THRESHOLDS)]
    scored = sum(manifest.total("seen")["scored"] for manifest in manifests)
    return sum(shard.cpu_seconds for of in manifests for shard in of.shards) / scored if scored else None
