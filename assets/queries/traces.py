"""Trace one pair: where it was found, why the pool has it or not, and which sets hold it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.keys import SUBSETS, THRESHOLDS, TRAINING_SETS
from assets.queries.identification import language_identification
from assets.queries.languages import sets_clause_marks_apart
from assets.queries.lookups import Reader, ShardKey, select_rows
from assets.queries.rungs import thresholds_by
from metaclip_dagster.deduplicating import DUPLICATE
from metaclip_dagster.explaining import Drawing, explain_draw, find_entries, holds_all, show_number
from metaclip_dagster.opting_out.policies import LICENSE
from metaclip_dagster.words.languages import find_list
from resources.lake.resource import WHOLE, Lake


@dataclass
class Place:
    """One row of PAIRS, and why the pool has the pair from there or not."""

    snapshot: str
    shard: str
    text_source: str
    page_url: str
    warc: str | None
    offset: int | None
    pool_address: str | None
    verdict: str = ""


@dataclass
class TracedPair:
    """A pair as the tables have it. `drawing` is None where the pool has not got it, or it was not drawn yet."""

    pair_id: int
    image_id: str
    url: str
    text: str
    num_places: int
    places: list[Place] = field(default_factory=list)
    language: str = "not identified"
    unmatched: str = ""
    """Why matching leaves it out, where it does."""
    notes: list[tuple[str, str]] = field(default_factory=list)
    thresholds: dict[str, float] = field(default_factory=dict)
    drawing: Drawing | None = None
    subsets: dict[str, str] = field(default_factory=dict)
    """By rung: has it, has it not, or not made."""
    training_sets: list[str] = field(default_factory=list)


class Verdicts:
    """Verdicts over one lake; what every pair needs is read once."""

    def __init__(self, lake: Lake) -> None:
        self._lookup = Reader(lake)

    def describe(self, places: Mapping[int, Sequence[ShardKey]], limit: int) -> list[TracedPair]:
        """Each pair with its first `limit` places and the one that the pool has it from, in the order given."""
        return [self._describe(pair_id, shards, limit) for pair_id, shards in places.items()]

    def describe_image(self, image_id: str) -> str:
        """Where the image store has it, or why it has not."""
        finished = self._lookup.finished("images", *SUBSETS)
        rows = [row for t in finished for row in self._lookup.rows_of_image("images", t, image_id)]
        if not rows:
            rings = (
                f"the rings made, {', '.join(finished)}, have not got it" if finished else "no ring of images is made"
            )
            return f"never asked for: {rings}"
        row = min(rows, key=lambda row: row["tar"] is None)
        said = "".join(f"; {it['signal']} says {it['value']!r}" for it in row.get("opt_outs") or ())
        if row["tar"] is None:
            return f"asked for, and there is none: {row['reason']}{said}"
        size = f"{row['width']} x {row['height']}, {row['size']:,} bytes"
        return f"in the image store: {row['tar']}, {row['format']}, {size}{said}"

    def _describe(self, pair_id: int, shards: Sequence[ShardKey], limit: int) -> TracedPair:
        first = self._lookup.row("pairs", *shards[0], pair_id)
        pair = TracedPair(pair_id, first["image_id"].hex(), first["url"], first["text"], len(shards))
        owner: Place | None = None
        for number, (snapshot, shard) in enumerate(shards):
            if number >= limit and (owner or pair.unmatched):
                break
            row = self._lookup.row("pairs", snapshot, shard, pair_id)
            columns = ("text_source", "page_url", "warc", "offset", "pool_address")
            place = Place(snapshot, shard, **{name: row[name] for name in columns})
            owner = self._judge(pair, place, owner)
            if number < limit or place is owner:
                pair.places.append(place)
        if owner:
            self._draw(pair, owner)
            sets = self._lookup.finished("training_sets", *TRAINING_SETS)
            pair.training_sets = [key for key in sets if self._trains(pair, key)]
        return pair

    def _judge(self, pair: TracedPair, place: Place, owner: Place | None) -> Place | None:
        """Set the place's verdict; gives the place that the pool has the pair from, as far as that is known."""
        if not self._lookup.finished("matches", place.snapshot):
            place.verdict = f"not searched yet: materialize matches of {place.snapshot}"
            return owner
        match = self._lookup.row("matches", place.snapshot, place.shard, pair.pair_id)
        if not match:
            pair.unmatched = pair.unmatched or self._why_unmatched(pair)
            place.verdict = pair.unmatched
            return owner
        pair.language = f"{match['language']} ({match['language_score']:.2f})"
        if place.snapshot not in self._pool:
            place.verdict = (
                f"matches, and {place.snapshot} is not in the pool yet: materialize exclusions and what is below"
            )
            return owner
        excluded = self._lookup.lake.where("exclusions", "shard", place.shard, shard=place.snapshot)()
        reasons = [row["reason"] for row in select_rows(excluded, "pair_id", pair.pair_id)]
        if not reasons:
            place.verdict = "in the pool"
            return place
        instead = f": the pool has the pair from {owner.snapshot}, shard {owner.shard}" if owner else ""
        why = instead if reasons[0] == DUPLICATE else self._describe_signals(place, pair.pair_id, reasons[0])
        place.verdict = f"left out as {reasons[0]}{why}"
        return owner

    def _describe_signals(self, place: Place, pair_id: int, reason: str) -> str:
        """What said so, where and when, of a pair that is opted out."""
        at = (place.snapshot, place.shard)
        if reason == LICENSE:
            row = self._lookup.row("pairs", *at, pair_id)
            return f": {row['license']}, {row['license_evidence']}" if row.get("license") else ": none is known"
        gathered = self._lookup.finished("opt_out_signals", place.snapshot)
        rows = self._lookup.rows("opt_out_signals", *at, "pair_id", pair_id) if gathered else []
        said = [
            f"{row['source']} says {row['value']!r}" + (f", seen {row['seen_at']:%Y-%m-%d}" if row["seen_at"] else "")
            for row in rows
            if row["signal"] == reason
        ]
        return f": {'; '.join(said)}" if said else ""

    def _draw(self, pair: TracedPair, owner: Place) -> None:
        """Set what was drawn for the pair, and whether the subsets that are made have it."""
        at = (owner.snapshot, owner.shard, pair.pair_id)
        admissions = self._lookup.manifest("admissions", owner.snapshot)
        if self._counts is None or admissions is None:
            pair.notes.append(("admitted_at", f"not drawn yet: materialize admissions of {owner.snapshot}"))
            return
        match = self._lookup.row("matches", *at)
        counts = self._counts.filter(pc.is_in(self._counts["entry_id"], pa.array(match["entry_ids"], pa.uint32())))
        if counts.num_rows < len(match["entry_ids"]) or not all(counts["entry_count"].to_pylist()):
            pair.notes.append(("admitted_at", "not drawn: matches are newer than exclusions and what is below them"))
            return
        entries = counts["entry"].to_pylist()
        if not holds_all(pair.text, entries, match["language"], clause_marks=self._clause_marks):
            of = f"matches of {owner.snapshot} and entry_counts are of different lists of entries"
            pair.notes.append(("admitted_at", f"not drawn: {of}; materialize what is below entries"))
            return
        pair.thresholds = {t: by_language[match["language"]] for t, by_language in self._thresholds.items()}
        pair.drawing = explain_draw(pair.pair_id, counts, pair.thresholds, seed=int(admissions.inputs["seed"]))
        stored, drawn = self._lookup.row("admissions", *at).get("admitted_at"), pair.drawing.admitted_at
        pair.notes.append(("admitted_at", f"{show_number(drawn)}: it is in D(t) where its language's t is above"))
        if stored != drawn:
            pair.notes.append(("stale", f"admissions has {stored}: materialize admissions of {owner.snapshot} again"))
        finished = self._lookup.finished("subsets", *THRESHOLDS)
        for t in THRESHOLDS:
            has_it = t in finished and self._lookup.row("subsets", t, f"{owner.snapshot}/{owner.shard}", pair.pair_id)
            pair.subsets[t] = "has it" if has_it else "has it not" if t in finished else "not made"

    def _why_unmatched(self, pair: TracedPair) -> str:
        """Match the pair again, now, for no table keeps the pairs that matching leaves out."""
        [language], [score] = self._identify([pair.text])
        pair.language = f"{language} ({score:.2f}), identified now"
        searched = find_list(language, self._languages)
        if searched is None:
            return f"not in the pool: there are entries in {', '.join(self._languages)} alone"
        entries = find_entries(pair.text, self._lookup.lake.stream("entries")(), clause_marks=self._clause_marks)
        entry = next((entry for of, entry in entries if of == searched), None)
        if entry is None:
            return "not in the pool: it matches no entry"
        return f"not in the pool, and now it matches {entry!r}: matches are old here, materialize them again"

    def _trains(self, pair: TracedPair, key: str) -> bool:
        rows = self._lookup.rows_of_image("training_sets", key, pair.image_id)
        return any(text["pair_id"] == pair.pair_id for row in rows for text in row["texts"])

    @cached_property
    def _pool(self) -> set[str]:
        """The snapshots that the pool was made of: each has a shard of EXCLUSIONS."""
        exclusions = self._lookup.manifest("exclusions", WHOLE)
        return {shard.key for shard in exclusions.shards} if exclusions else set()

    @cached_property
    def _counts(self) -> pa.Table | None:
        return self._lookup.lake.read("entry_counts") if self._lookup.finished("entry_counts", WHOLE) else None

    @cached_property
    def _thresholds(self) -> dict[str, dict[str, float]]:
        return {t: thresholds_by(self._counts, t) for t in THRESHOLDS}

    @cached_property
    def _languages(self) -> list[str]:
        entries = self._lookup.lake.dataset("entries").to_table(columns=["language"])
        return sorted(pc.unique(entries["language"]).to_pylist())

    @cached_property
    def _clause_marks(self) -> bool:
        return sets_clause_marks_apart(self._lookup.lake)

    @cached_property
    def _identify(self) -> Any:
        return language_identification()()
