"""Collect from the lake what the what-if page holds: the pool in bins of t, its entries, examples, costs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.defaults import DEFAULTS
from assets.keys import MODELS, THRESHOLDS
from assets.queries.costs_of_t import seconds_per_pair
from assets.queries.example_pairs import choose_pictures, describe_examples
from assets.queries.parsers import check_columns
from assets.queries.pictures import read_pictures
from assets.queries.provenance import describe_balance, list_snapshots
from assets.queries.stored import insert_stored
from metaclip_dagster.balancing import build_draw, parse_threshold, prepare_thresholds
from metaclip_dagster.reporting.exploring.binning import Bins, choose_shown, choose_stops, join_entries, sum_tails
from metaclip_dagster.reporting.exploring.entries import pack_entries
from metaclip_dagster.reporting.exploring.page import BINS, render_exploration
from metaclip_dagster.reporting.html.thumbnails import Picture
from metaclip_dagster.spilling import insert, spilling
from metaclip_dagster.training import recipe_of
from resources.deferred import defer, version_of
from resources.files.digests import combine
from resources.lake.resource import Lake
from resources.models.resource import Trainer
from resources.reports.resource import Reports

TABLES = ("matches", "admissions")


@dataclass(frozen=True)
class Exploration:
    """What the page is rendered from."""

    report: dict[str, Any]
    entries: str
    """As `pack_entries` gives them, as text."""
    pictures: Mapping[str, Picture]
    """Of the example pairs, by image_id."""


def write_exploration(
    lake: Lake, reports: Reports, images: str, trainer: Trainer, beside: Path | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the page `explore`, or `explore_beside` with the bins of another report; gives the report and its links.

    `images` is the folder or URL of the image store. Raises as `explore_pool` does, and ValueError for another report
    that is none of these.
    """
    other = read_report(beside) if beside else None
    explored = explore_pool(lake, images, trainer)
    page = render_exploration(explored.report, explored.entries, explored.pictures, mode=reports.pictures, beside=other)
    return explored.report, reports.write("explore_beside" if other else "explore", page, explored.report)


def read_report(path: Path) -> dict[str, Any]:
    """The JSON beside another what-if page, whose bins this version reads; raises ValueError for anything else."""
    try:
        report = json.loads(path.read_text("utf-8"))
        return {name: report[name] for name in BINS}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no explore.json, as `metaclip explore` writes it: {error!r}") from None


def version_of_pool(lake: Lake) -> str:
    """One version of all that the page is made of, but for images and trainings, of which it shows what is there."""
    whole = [lake.manifest(name).version for name in ("entries", "exclusions", "entry_counts")]
    snapshots = list_snapshots(lake)
    return combine([*whole, *(lake.manifest(name, key).version for name in TABLES for key in snapshots)])


def explore_pool(lake: Lake, images: str, trainer: Trainer) -> Exploration:
    """Read the pool once, and bin it.

    Raises FileNotFoundError for what is not made yet, ValueError where admissions are drawn with other counts than
    those that are there.
    """
    check_columns(lake, "entry_counts")
    counts, snapshots = lake.read("entry_counts"), list_snapshots(lake)
    draw = version_of(defer(build_draw, lake.table("entry_counts")))
    if stale := [key for key in snapshots if lake.manifest("admissions", key).inputs.get("draw") != draw]:
        raise ValueError(
            f"admissions of {', '.join(stale)} are drawn with other counts than entry_counts: make them again"
        )
    rungs = [parse_threshold(t) for t in THRESHOLDS]
    reference = counts.filter(pc.field("language") == DEFAULTS.reference_language)
    largest = pc.max(reference["balanced_to"]).as_py() or 1
    stops = choose_stops(largest, rungs)
    thresholds_at = prepare_thresholds(counts, reference=DEFAULTS.reference_language)
    held_to = [thresholds_at(t) for t in stops]
    thresholds = {name: np.array([at[name] for at in held_to]) for name in held_to[0]}
    bins = Bins.build(
        thresholds,
        at_rungs=[stops.index(t) for t in rungs],
        num_entries=len(counts),
        shown=choose_shown(counts["entry_count"].to_numpy()),
    )
    of_images = _bin(lake, images, snapshots, bins)
    examples = describe_examples(lake, counts, bins)
    at_rungs = {name: values[bins.at_rungs].tolist() for name, values in thresholds.items()}
    entries = pack_entries(counts, bins.of_entry, at_rungs)
    report = {
        "pool": ", ".join(snapshots),
        "balanced_to": describe_balance(lake),
        "rungs": dict(zip(THRESHOLDS, bins.at_rungs, strict=True)),
        "stops": [None if np.isinf(t) else t for t in stops],
        "languages": {name: _describe_language(counts, bins, name) for name in _order(bins)},
        **of_images,
        "training": _describe_training(trainer, lake),
        "entries": {
            "total": len(counts),
            "matched": int(np.count_nonzero(counts["entry_count"].to_numpy())),
            "listed": entries.num_listed,
            "most_unlisted": entries.most_unlisted,
        },
        "examples": examples,
    }
    pictures = read_pictures(lake, images, choose_pictures(examples))
    return Exploration(report, entries.text, pictures)


def _bin(lake: Lake, images: str, snapshots: list[str], bins: Bins) -> dict[str, Any]:
    """Fill the bins; gives how many images join at each stop, how many of those are to be fetched, and their bytes."""
    with spilling() as query:
        query.sql("create table pairs (image_id blob, stop bigint)")
        insert_stored(query, images)
        for snapshot in snapshots:
            matches, admissions = (lake.shards(name, snapshot) for name in TABLES)
            for key, batches in admissions.items():
                of_pairs = bins.add(join_entries(matches[key](), batches()), f"{snapshot}/{key}")
                insert(query, "pairs", of_pairs.to_batches(), "image_id, stop")
        joined = query.sql("""
            with images as (select lower(hex(image_id)) as image_id, min(stop) as stop from pairs group by image_id)
            select stop, count(*) as images, count_if(stored.image_id is null) as to_fetch
            from images left join (select distinct image_id from stored) as stored using (image_id) group by stop
        """).fetchnumpy()
        [(bytes_an_image,)] = query.sql("select avg(size) from stored").fetchall()
    num_stops = len(next(iter(bins.thresholds.values())))
    columns = {
        name: np.bincount(joined["stop"], joined[name], minlength=num_stops).astype(int).tolist()
        for name in ("images", "to_fetch")
    }
    return {**columns, "bytes_an_image": bytes_an_image}


def _order(bins: Bins) -> list[str]:
    """Languages, that with most pairs first."""
    return sorted(bins.pairs, key=lambda name: (-int(bins.pairs[name].sum()), name))


def _describe_language(counts: pa.Table, bins: Bins, name: str) -> dict[str, Any]:
    """What joins at each stop: pairs, matches, entries and matches of the tail, and entries by their first pair."""
    thresholds = bins.thresholds[name]
    entries, matches = sum_tails(counts, name, thresholds)
    first = bins.first[pc.equal(counts["language"], name).to_numpy()]
    columns = {
        "pairs": bins.pairs[name],
        "matches": bins.matches[name],
        "tail_entries": entries,
        "tail_matches": matches,
        "present": np.bincount(first, minlength=len(thresholds) + 1)[:-1],
    }
    t = [None if np.isinf(value) else value for value in thresholds.tolist()]
    return {"entries": int(entries.sum()), "t": t, **{key: column.tolist() for key, column in columns.items()}}


def _describe_training(trainer: Trainer, lake: Lake) -> dict[str, Any]:
    """How long a pair takes in the mean, by the trainings of each architecture that are finished here."""
    spent = list(seconds_per_pair(trainer, lake, "wall_seconds"))
    of_models: dict[str, list[str]] = {}
    for model in MODELS:
        of_models.setdefault(recipe_of(model)[0].architecture, []).append(model)
    architectures = []
    for architecture, models in of_models.items():
        seconds = [s for (_, of), s in spent if of == architecture]
        mean = sum(seconds) / len(seconds) if seconds else None
        pace = {"seconds_a_pair": mean, "trainings": len(seconds)}
        architectures.append({"architecture": architecture, "models": models, **pace})
    return {"pairs_to_see": DEFAULTS.pairs_to_see, "architectures": architectures}
