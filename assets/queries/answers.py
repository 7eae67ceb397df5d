"""Explain in tables why a pair is kept, at which t, and which pairs match an entry."""

from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc

from assets.keys import THRESHOLDS
from assets.queries.lookups import count_pairs_with, find_pairs
from assets.queries.parsers import why_outdated
from assets.queries.rungs import thresholds_by
from assets.queries.traces import Place, TracedPair, Verdicts
from metaclip_dagster.explaining import FACTS, Drawing, QuestionError, Table, read_question, show_number
from metaclip_dagster.reporting.html.numbers import percent
from metaclip_dagster.reporting.html.text import reveal
from resources.lake.resource import Lake

MAX_COINS = 50


def explain_pair(
    lake: Lake, snapshots: Sequence[str], asked: str, *, text: str | None = None, limit: int = 20
) -> list[Table]:
    """The image that is asked for, and of each of its first `limit` pairs where it was found and why it is kept.

    It costs one scan of PAIRS' ids over all snapshots (8 bytes a row for a pair_id or a URL with its text, 20 for a URL
    alone), then the few shards that hold it, and one bucket of each training set and ring of images. Memory does not
    grow with the pool, for scans stream. On the sample (78,768 pairs, 47,386 in the pool) it takes 0.2 to 0.4 CPU
    seconds.

    `snapshots` are the registered ones. Raises QuestionError if none of them has such a pair, or if
    any comes of pages that another version of the program parsed.
    """
    _check_limit(limit)
    column, value = read_question(asked, text)
    if why := why_outdated(lake, "pairs", snapshots) or why_outdated(lake, "matches", snapshots):
        raise QuestionError(why)
    verdicts = Verdicts(lake)
    places = find_pairs(lake, lake.finished("pairs", snapshots), column, value)
    if not places:
        raise QuestionError(_say_unknown(lake, snapshots, asked, by_text=text is not None))
    pairs = verdicts.describe({pair_id: places[pair_id] for pair_id in list(places)[:limit]}, limit)
    facts = [
        ("URL", pairs[0].url),
        ("image_id", pairs[0].image_id),
        ("image", verdicts.describe_image(pairs[0].image_id)),
        ("pairs", _count_shown(len(pairs), len(places), "raise the limit for more")),
    ]
    return [Table.build("image", FACTS, facts), *(table for pair in pairs for table in _describe_pair(pair))]


def explain_entry(lake: Lake, entry: str, *, limit: int = 20) -> list[Table]:
    """The entry's place, count and share at every t, and `limit` of its pairs: those of the least pair_id, a hash.

    Costs one scan of SUBSETS' pair_id and entry_ids at every t, some 20 bytes a row; as long as for a pair. Raises
    QuestionError if there is no such entry.
    """
    _check_limit(limit)
    if why := why_outdated(lake, "subsets", lake.finished("subsets", THRESHOLDS)):
        raise QuestionError(why)
    entries = lake.dataset("entries")
    rows = entries.to_table(filter=pc.field("entry") == entry).to_pylist()
    if not rows:
        alike = entries.to_table(filter=pc.utf8_lower(pc.field("entry")) == entry.lower())["entry"].to_pylist()
        hint = f"there is {', '.join(map(reveal, alike[:5]))!r}, and matching minds case" if alike else "its spelling?"
        raise QuestionError(
            f"{reveal(entry)!r} is none of the {entries.count_rows():,} entries ({hint}); to search for it, put it in "
            "a list of your own and materialize entries with own_lists"
        )
    return [table for row in rows for table in _describe_entry(lake, row, limit)]


def _check_limit(limit: int) -> None:
    if limit < 1:
        raise QuestionError(f"a limit of {limit} pairs leaves nothing to tell of; give 1 or more")


def _describe_record(place: Place) -> str:
    if place.snapshot.startswith("pool-"):
        image = f", its image at {place.pool_address}" if place.pool_address else ""
        return f"{place.warc}, number {place.offset}{image}"
    return f"{place.warc or 'no WARC file named'} at byte {place.offset}"


def _describe_pair(pair: TracedPair) -> list[Table]:
    long = [("characters", f"{len(pair.text):,}")] if len(pair.text) > 200 else []
    facts = [("text", pair.text), *long, ("language", pair.language), *pair.notes]
    if pair.drawing:
        facts.append(("training sets", ", ".join(pair.training_sets) or "none that is made"))
    for place in pair.places:
        facts += [
            ("found in", f"{place.snapshot}, shard {place.shard}: {place.verdict}"),
            ("  page", f"{place.page_url} ({place.text_source})"),
            ("  record", _describe_record(place)),
        ]
    if pair.num_places > len(pair.places):
        facts.append(("found in", _count_shown(len(pair.places), pair.num_places, "the lowest places are shown")))
    drawing = _describe_drawing(pair, pair.drawing) if pair.drawing else []
    return [Table.build(f"pair {pair.pair_id}", FACTS, facts), *drawing]


def _describe_drawing(pair: TracedPair, drawing: Drawing) -> list[Table]:
    coins = [(coin.entry, coin.entry_count, coin.balanced_to, coin.u, coin.drawn) for coin in drawing.coins[:MAX_COINS]]
    more = f", the {MAX_COINS} least drawn of {len(drawing.coins):,}" if len(drawing.coins) > MAX_COINS else ""
    rungs = [
        (
            t,
            show_number(pair.thresholds[t]),
            percent(drawing.probability[t]),
            "kept" if is_kept else "dropped",
            pair.subsets[t],
        )
        for t, is_kept in drawing.decision.items()
    ]
    return [
        Table.build(
            f"entries of pair {pair.pair_id}{more}",
            ("entry", "entry_count", "balanced_to", "u", "u x balanced_to"),
            coins,
        ),
        Table.build(f"t of pair {pair.pair_id}", ("t", "its language's", "P(keep)", "decision", "subset made"), rungs),
    ]


def _describe_entry(lake: Lake, row: dict[str, Any], limit: int) -> list[Table]:
    name = f"{row['entry']} ({row['language']})"
    counts = lake.read("entry_counts")
    counted: dict[str, Any] = next(iter(counts.slice(row["entry_id"], 1).to_pylist()), {})
    if (counted.get("entry"), counted.get("language")) != (row["entry"], row["language"]):
        raise QuestionError("entry_counts is of an older list of entries: materialize matches and what is below them")
    count, balanced_to = counted["entry_count"], counted["balanced_to"]
    facts = [(key, str(row[key])) for key in ("entry_id", "language", "source", "rank")]
    facts.append(("pairs of the pool", f"{count:,}"))
    if balanced_to != count:
        facts.append(("balanced to a published count of", f"{balanced_to:,}"))
    if row["unmatchable"]:
        facts.append(("no text can hold it", row["unmatchable"]))
    finished = lake.finished("subsets", THRESHOLDS)
    rungs, sample = [], list[dict[str, Any]]()
    for t in THRESHOLDS:
        threshold = thresholds_by(counts, t)[row["language"]]
        num_pairs: int | str = "not made"
        if t in finished:
            num_pairs, sample = count_pairs_with(lake, t, row["entry_id"], limit if t == finished[-1] else 0)
        side = "head" if balanced_to > threshold else "tail"
        coins = count * min(1.0, threshold / max(balanced_to, 1))
        rungs.append((t, show_number(threshold), side, show_number(coins), num_pairs))
    pairs = [
        (str(pair["pair_id"]), pair["text"], pair["admitted_at"], pair["snapshot"], pair["url"]) for pair in sample
    ]
    return [
        Table.build(f"entry {name}", FACTS, facts),
        Table.build(
            f"snapshots of {name}",
            ("snapshot", "entry_count"),
            [(of["snapshot"], of["entry_count"]) for of in counted["snapshot_counts"]],
        ),
        Table.build(
            f"t of {name}", ("t", "its language's", "is", "its coins keep, in the mean", "pairs in D(t)"), rungs
        ),
        Table.build(f"some pairs of {name}", ("pair_id", "text", "admitted_at", "snapshot", "url"), pairs),
    ]


def _say_unknown(lake: Lake, snapshots: Sequence[str], asked: str, *, by_text: bool) -> str:
    parsed = lake.finished("pairs", snapshots)
    if not parsed:
        return (
            f"no registered snapshot has pairs yet ({', '.join(snapshots) or 'none is registered'}); materialize them"
        )
    failed = sum(len(lake.manifest("pairs", key).failed) for key in parsed)
    return (
        f"no pair of {', '.join(parsed)} is {reveal(asked)!r}{' with this text' if by_text else ''}: "
        "no page that was parsed shows it with a text, or its URL is spelled another way there"
        f"{'; try it without the text' if by_text else ''}"
        f"{f'; {failed:,} archives could not be read: materialize pairs again for them' if failed else ''}"
    )


def _count_shown(shown: int, of: int, more: str) -> str:
    return f"{of:,}" if shown == of else f"{shown:,} of {of:,}; {more}"
