"""Set two sides beside each other: every table of facts, entries, pairs and scores that both have."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from assets.keys import Cell
from assets.queries.operands import find_operand, read_side
from assets.queries.pictures import read_pictures
from assets.queries.sides import Side
from metaclip_dagster.comparing import compare_entries, compare_pairs
from metaclip_dagster.counting import FEWEST_MATCHES, compare_shares, describe_comparison
from metaclip_dagster.reporting.comparisons.rows import line_up, line_up_scores
from metaclip_dagster.reporting.html.thumbnails import Picture
from metaclip_dagster.reporting.sweeps.cells import keep_own_language
from metaclip_dagster.reporting.sweeps.scores import average_seeds, index_scores
from resources.deployments import Deployment
from resources.lake.resource import Lake

SHARED_OUT = ("languages", "licenses")
"""Tables whose numbers add up to the side's pairs, so that shares are shown."""


def compare_sides(where: Deployment, here: str, there: str) -> tuple[pa.Table | None, dict[str, Any], list[Side]]:
    """The COMPARISON of what two operands name (None of entries), the report on it, and the sides themselves.

    Raises ValueError where they are not of a kind, or name nothing; FileNotFoundError for what is not made yet.
    """
    operands = [find_operand(where, text) for text in (here, there)]
    if len({operand.kind == "entries" for operand in operands}) > 1:
        raise ValueError(
            f"{here} and {there}: entries are compared with entries alone: entries@before is the build before, "
            "FOLDER:entries those of another deployment"
        )
    sides = [read_side(operand, other) for operand, other in zip(operands, reversed(operands), strict=True)]
    one, two = sides
    comparison = None
    report: dict[str, Any] = {
        "here": one.name,
        "there": two.name,
        "kinds": [one.kind, two.kind],
        "equal": (one.kind, one.version) == (two.kind, two.version),
        "facts": {
            name: line_up(one.facts[name], two.facts[name], with_shares=name in SHARED_OUT)
            for name in one.facts
            if name in two.facts
        },
        "provenance": line_up(one.provenance, two.provenance),
        "distribution": None,
        "entries": _compare_lists(one, two),
        "pairs": None,
        "other_parsers": bool(one.pairs and two.pairs) and one.parsers != two.parsers,
        "scores": line_up_scores(*(read_scores(side) for side in sides)),
    }
    if one.counts is not None and two.counts is not None:
        comparison = compare_shares(one.counts, two.counts, names=(one.name, two.name))
        report["distribution"] = {"fewest_matches": FEWEST_MATCHES, **describe_comparison(comparison)}
    if one.pairs and two.pairs and not report["other_parsers"]:
        report["pairs"] = compare_pairs(one.pairs, two.pairs)
        for side, of_side in (("only_here", one), ("only_there", two)):
            report["pairs"]["examples"][side] = _name_entries(of_side, report["pairs"]["examples"][side])
    return comparison, report, sides


def show_examples(side: Side, examples: list[dict[str, Any]]) -> list[Picture]:
    """Pictures of the pairs that only this side has, each with its text and the rarest entries that it matches."""
    texts = {row["image_id"]: row["text"] for row in examples}
    pictures = {image_id: Picture(image_id, text=text) for image_id, text in texts.items()}
    if side.lake is not None and side.images is not None and texts:
        rungs = [partition for table, partition in side.lake.partitions() if table == "images"]
        pictures = read_pictures(side.lake, side.images, texts, rungs=rungs)
    matched = [f"matches {', '.join(row['entries'][:3])}" for row in examples]
    shown = [pictures[row["image_id"]] for row in examples]
    return [
        replace(picture, url=row["url"], note="; ".join(filter(None, [picture.note, words])))
        for picture, row, words in zip(shown, examples, matched, strict=True)
    ]


def read_scores(side: Side) -> list[dict[str, Any]]:
    """Scores of the models that were trained on a t's set, by recipe, each over its seeds: top-1, or a task's own.

    Scores of other weights, and of models of another version of the set, are left out.
    """
    lake = side.lake
    if lake is None or side.kind != "t":
        return []
    t = side.provenance["t"]
    by_recipe: defaultdict[tuple[Any, ...], dict[int, list[dict[str, Any]]]] = defaultdict(dict)
    for key in (key for table, key in lake.partitions() if table == "scores" and "|" in key):
        if Cell.of(key).training_set == t and (row := _find_checkpoint(lake, key)):
            recipe = Cell.of(key).model.removesuffix(f"-s{row['seed']}")
            by_recipe[recipe, row["pairs_seen"]][row["seed"]] = keep_own_language(
                lake.read("scores", [key])
            ).to_pylist()
    return [
        {"recipe": recipe, "pairs_seen": pairs_seen, **score}
        for (recipe, pairs_seen), rows in sorted(by_recipe.items())
        for score in average_scores(rows)
    ]


def average_scores(rows_by_seed: Mapping[int, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Averages of SCORES over seeds, of each task by its version: top-1, or the task's own metric.

    Seeds that were scored on different images are averaged apart.
    """
    by_version: defaultdict[str, defaultdict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for seed, rows in rows_by_seed.items():
        for row in rows:
            by_version[row["task_version"]][seed].append(row)
    averages = [score for version, rows in by_version.items() for score in _average(version, rows)]
    return sorted(averages, key=lambda score: (score["task"], score["task_version"]))


def _average(version: str, rows_by_seed: Mapping[int, list[dict[str, Any]]]) -> Iterable[dict[str, Any]]:
    scores = average_seeds({seed: index_scores(rows) for seed, rows in rows_by_seed.items()})
    num_images = {
        (it["task"], it["part"], it["metric"]): it["num_images"] for rows in rows_by_seed.values() for it in rows
    }
    has_top1 = {score["task"] for score in scores if score["metric"] == "acc1"}
    for score in scores:
        if score["metric"] == ("acc1" if score["task"] in has_top1 else "main"):
            key = score["task"], score["part"], score["metric"]
            yield {**score, "num_images": num_images[key], "task_version": version}


def _find_checkpoint(lake: Lake, key: str) -> dict[str, Any] | None:
    """The checkpoint that the scores of a cell are of; None where they, or its set, are of another version."""
    if not all(lake.finished(table, [key]) for table in ("checkpoints", "scores")):
        return None
    row: dict[str, Any] = lake.read("checkpoints", [key]).to_pylist()[0]
    training_set = lake.store("training_sets", row["training_set"]).manifest()
    is_current = training_set is None or training_set.version == row["set_version"]
    return row if is_current and lake.manifest("scores", key).inputs.get("model", "").endswith(row["sha256"]) else None


def _compare_lists(here: Side, there: Side) -> dict[str, Any] | None:
    """Entries that only one side has, or at another place; None where a side has no list, or both the same."""
    if here.entries is None or there.entries is None:
        return None
    if here.kind != "entries" and here.entries.version == there.entries.version:
        return None
    changes = compare_entries(before=there.entries(), after=here.entries())
    only = {"added": "only_here", "removed": "only_there", "moved": "moved"}
    rows = [{only.get(name, name): value for name, value in row.items()} for row in changes["by_source"]]
    samples = {only[change]: [row for row in changes["samples"] if row["change"] == change] for change in only}
    sums = {only[change]: changes[change] for change in only}
    return {"here": changes["after"], "there": changes["before"], **sums, "by_source": rows, "samples": samples}


def _name_entries(side: Side, examples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pairs with the words of their entries in place of the ids, the rarest of the side first."""
    if side.counts is None:
        return examples
    words, counts = side.counts["entry"], side.counts["num_pairs"]
    return [
        {
            **{name: value for name, value in row.items() if name != "entry_ids"},
            "entries": [
                words[entry].as_py() for entry in sorted(row["entry_ids"], key=lambda entry: counts[entry].as_py())
            ],
        }
        for row in examples
    ]
