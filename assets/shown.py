"""Show a table in the UI by samples, tables and plots; whatever a crawl brought is shown as text only."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

import dagster as dg

from assets.keys import THRESHOLDS
from assets.queries.rungs import thresholds_of
from metaclip_dagster.reporting.cards.distribution import Distribution
from metaclip_dagster.reporting.html.numbers import percent
from metaclip_dagster.reporting.html.text import reveal
from metaclip_dagster.reporting.html.thumbnails import Picture, Pictures
from metaclip_dagster.spilling import spilling
from resources.lake.resource import Lake

NUM_SAMPLES = 6
NUM_TOP = 20
MAX_CHARACTERS = 160
MAX_OF_URL = 60
"""Nothing breaks a URL, so that a long one would leave the texts beside it no room."""

Row = Mapping[str, Any]


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.TableMetadataValue:
    """A table of numbers and texts; a text is cut, and what could hide or reorder it is written out.

    Dagster's Markdown, HTML and links are never made of data: the UI would render what somebody else wrote.
    """
    records = [dict(zip(columns, map(_cell, row), strict=True)) for row in rows]
    types = ["string"] * len(columns)
    if records:
        types = [{int: "int", float: "float"}.get(type(value), "string") for value in records[0].values()]
    schema = dg.TableSchema([dg.TableColumn(*column) for column in zip(columns, types, strict=True)])
    return dg.MetadataValue.table([dg.TableRecord(record) for record in records], schema)


def plots(drawn: Mapping[str, bytes], captions: Mapping[str, str]) -> dg.MarkdownMetadataValue:
    """Plots of ours, by name, inline, each above its caption; never anything that a crawl brought.

    Raises KeyError, naming them, for plots without a caption.
    """
    if missing := sorted(drawn.keys() - captions.keys()):
        raise KeyError(f"no caption for the plots {', '.join(missing)}: say in a sentence what to see in each")
    figures = (
        f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})\n\n*{captions[name]}*"
        for name, png in drawn.items()
    )
    return dg.MetadataValue.md("\n\n".join(figures))


def show_pictures(name: str, pictures: Sequence[Picture], mode: Pictures) -> dict[str, Any]:
    """Metadata of a gallery: our thumbnails, if they are to be shown as they are, and a table of what they show.

    The table has each picture's URL, by which takedowns find the run in Dagster's history.
    """
    listed = [
        (number, it.text, it.note, it.score, reveal(it.url, MAX_OF_URL)) for number, it in enumerate(pictures, start=1)
    ]
    thumbnails = (
        f"![{number}](data:image/jpeg;base64,{base64.b64encode(it.thumbnail).decode()})"
        for number, it in enumerate(pictures, start=1)
        if it.thumbnail
    )
    inline = {name: dg.MetadataValue.md(" ".join(thumbnails))} if mode == "shown" else {}
    return {**inline, f"{name}_listed": table(["picture", "text", "note", "NSFW", "url"], listed)}


def lineage(**columns: str) -> dict[str, dg.TableColumnLineage]:
    """Metadata for an asset: what each of its columns is made of, as `table.column`, several with blanks between."""
    of = {
        column: [dg.TableColumnDep(*source.split(".")) for source in sources.split()]
        for column, sources in columns.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(of)}


def show_kept_and_dropped(num_kept: int, dropped: Mapping[str, int]) -> dg.TableMetadataValue:
    """How many were kept and how many dropped for each reason, the commonest first, as shares of all together."""
    numbers = {"kept": num_kept, **dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0])))}
    of = sum(numbers.values())
    return table(
        ["what", "number", "share"], [(what, num, percent(num / of if of else None)) for what, num in numbers.items()]
    )


def top_candidates(lake: Lake, name: str) -> dict[str, Any]:
    """The candidates that the source ranks first."""
    columns = ["entry", "score", "num_occurrences"]
    with spilling() as query:  # of 300 languages they fill gigabytes
        query.register("candidates", lake.dataset(name))
        ranked = f"select {', '.join(columns)} from candidates order by score desc, entry limit {NUM_SAMPLES}"  # noqa: S608  # ours
        return {"top_candidates": table(columns, [[*row] for row in query.sql(ranked).fetchall()])}


def sample_pairs(lake: Lake, snapshot: str) -> dict[str, Any]:
    """A few pairs of the snapshot."""
    rows = _read_first(lake, "pairs", snapshot, _find_shard(lake, "pairs", snapshot))
    return {"sample_kept": _show_texts(rows.values(), ["text", "text_source", "url"])}


def sample_matches(lake: Lake, snapshot: str) -> dict[str, Any]:
    """A few pairs that match, with the entries found, and a few that leave the pool."""
    key = _find_shard(lake, "matches", snapshot)
    rows, matches = (_read_first(lake, name, snapshot, key) for name in ("pairs", "matches"))
    matched = [{**rows[pair], **row} for pair, row in matches.items() if pair in rows]
    return {
        "sample_kept": _show_texts(matched, ["text", "entries", "url"], lake),
        "sample_dropped": _show_texts([row for pair, row in rows.items() if pair not in matches], ["text", "url"]),
    }


def sample_subset(lake: Lake, snapshot: str, thresholds: Mapping[str, float]) -> dict[str, Any]:
    """A few pairs of D(t) and a few of the pool that were balanced away, each with the t above which it is kept."""
    key = _find_shard(lake, "admissions", snapshot)
    rows, matches, admissions = (_read_first(lake, name, snapshot, key) for name in ("pairs", "matches", "admissions"))
    pool = [{**rows[it], **matches[it], **row} for it, row in admissions.items() if it in rows and it in matches]
    sides: dict[bool, list[Row]] = {True: [], False: []}
    for row in pool:
        sides[row["admitted_at"] < thresholds[row["language"]]].append(row)
    columns = ["text", "entries", "admitted_at", "url"]
    return {
        "sample_kept": _show_texts(sides[True], columns, lake),
        "sample_balanced_away": _show_texts(sides[False], columns, lake),
    }


def read_drawn(lake: Lake, snapshot: str) -> list[Row]:
    """A text of each language that a tokenizer was trained from, with its pair, of the first that the snapshot has."""
    key = _find_shard(lake, "tokenizer_texts", snapshot)
    rows, drawn = (_read_first(lake, name, snapshot, key) for name in ("pairs", "tokenizer_texts"))
    least = sorted((pair for pair in drawn if pair in rows), reverse=True)
    by_language = {drawn[pair]["language"]: {**rows[pair], **drawn[pair]} for pair in least}
    return [row for _, row in sorted(by_language.items())]


def describe_counts(lake: Lake) -> dict[str, Any]:
    """The entries with most matches, and how much of all entries and matches is in the tail of each finite rung."""
    entries, counts = lake.read("entries"), lake.read("entry_counts")
    before = counts["entry_count"].to_numpy()
    top = counts.sort_by([("entry_count", "descending"), ("entry_id", "ascending")]).slice(0, NUM_TOP).to_pylist()
    matches = int(before.sum())
    numbers: dict[str, Any] = {"matches": matches, "entries_matched": int((before > 0).sum())}
    for t in THRESHOLDS:
        if matches and t != "inf":
            totals = Distribution.build(entries, counts, before, thresholds_of(lake, t)).totals()
            numbers[f"head_entries/{t}"] = totals["entries_head"]
            numbers[f"tail_share_of_matches/{t}"] = 1 - totals["head_before"]
    listed = [
        (row["entry"], row["language"], row["entry_count"], percent(row["entry_count"] / matches if matches else None))
        for row in top
    ]
    return {"top_entries": table(["entry", "language", "pairs", "share of matches"], listed), **numbers}


def _cell(value: object) -> str | int | float:
    if value is None:
        return "–"
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return value if isinstance(value, int) else reveal(str(value), MAX_CHARACTERS)


def show_changed_entries(changes: Mapping[str, Any]) -> dict[str, Any]:
    """What `changes.compare_entries_to` found, as numbers and tables; nothing where nothing changed."""
    if not changes:
        return {}
    columns = ["language", "source", "added", "removed", "moved"]
    rows = [[row[name] for name in columns] for row in changes["by_source"]]
    of_sample = ["change", "language", "entry", "source_before", "rank_before", "source", "rank"]
    samples = [[row[name] for name in of_sample] for row in changes["samples"]]
    numbers = {f"changed/{name}": changes[name] for name in ("added", "removed", "moved")}
    return {**numbers, "changes": table(columns, rows), "changes_sampled": table(of_sample, samples)}


def show_changed_counts(changes: Mapping[str, Any]) -> dict[str, Any]:
    """What `changes.compare_counts_to` found, as a number and a table; nothing where nothing changed."""
    if not changes:
        return {}
    rows = [[row[name] for name in ("entry", "language", "before", "after")] for row in changes["largest"]]
    largest = table(["entry", "language", "before", "after"], rows)
    return {"changed/counts": changes["changed"], "largest_moves": largest}


def _show_texts(rows: Iterable[Row], columns: Sequence[str], lake: Lake | None = None) -> dg.TableMetadataValue:
    """The rows of the least pair_ids, which are hashes: a sample that any run draws alike."""
    least = sorted(rows, key=lambda row: row["pair_id"])[:NUM_SAMPLES]
    if lake:
        words = lake.dataset("entries").to_table(columns=["entry"])["entry"]
        matched = [", ".join(words[i].as_py() for i in row["entry_ids"][:NUM_TOP]) for row in least]
        least = [{**row, "entries": entries} for row, entries in zip(least, matched, strict=True)]
    least = [{**row, "url": reveal(row["url"], MAX_OF_URL)} for row in least]
    return table(columns, [[row[name] for name in columns] for row in least])


def _find_shard(lake: Lake, name: str, partition: str) -> str:
    """The first shard that holds anything: a sample reads one batch of one shard, whatever the table's size."""
    shards = lake.manifest(name, partition).shards
    return next((shard.key for shard in shards if shard.rows), shards[0].key)


def _read_first(lake: Lake, name: str, partition: str, shard: str) -> dict[int, Row]:
    """Rows of the shard's first batch by pair_id: PAIRS, MATCHES, ADMISSIONS are in one order, and meet there."""
    with closing(lake.shards(name, partition)[shard]()) as batches:
        first = next(batches, None)
    return {row["pair_id"]: row for row in first.to_pylist()} if first else {}
