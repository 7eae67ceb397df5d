"""Read from the lake the pairs that show an entry on the what-if page, and choose whose pictures stand beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.reporting.exploring.binning import Bins
from resources.lake.resource import Lake

NUM_PICTURES = 120
"""Each costs a look into a shard of each ring, and some 3 kB of the page."""


def describe_examples(lake: Lake, counts: pa.Table, bins: Bins) -> list[dict[str, Any]]:
    """The entries that are shown, the most frequent first: what joins at each stop, and some of their pairs."""
    texts = _read_pairs(lake, bins.examples)
    of_entry: dict[int, list[dict[str, Any]]] = {}
    for row in bins.examples.sort_by([("admitted_at", "ascending"), ("pair_id", "ascending")]).to_pylist():
        pair = {"image_id": row["image_id"].hex(), "admitted_at": row["admitted_at"], "stop": row["stop"]}
        of_entry.setdefault(row["entry"], []).append({**texts[row["shard"], row["pair_id"]], **pair})
    words = counts.select(["entry", "language", "entry_count"]).take(pa.array(bins.shown)).to_pylist()
    return [
        {**word, "joining": joining.tolist(), "pairs": of_entry.get(entry, [])}
        for word, joining, entry in zip(words, bins.of_shown, bins.shown.tolist(), strict=True)
    ]


def choose_pictures(examples: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The text of each image whose picture is shown: one of every entry first, then a second of each, and so on."""
    by_turns = sorted((turn, number) for number, entry in enumerate(examples) for turn in range(len(entry["pairs"])))
    pairs = [examples[number]["pairs"][turn] for turn, number in by_turns[:NUM_PICTURES]]
    return {pair["image_id"]: pair["text"] for pair in pairs}


def _read_pairs(lake: Lake, examples: pa.Table) -> Mapping[tuple[str, int], dict[str, str]]:
    """The text and the URL of each pair, by shard and pair_id; each shard is read once."""
    texts = {}
    for place in pc.unique(examples["shard"]).to_pylist():
        snapshot, key = place.split("/", 1)
        ids = examples.filter(pc.field("shard") == place)["pair_id"].combine_chunks()
        for batch in lake.shards("pairs", snapshot, ["pair_id", "text", "url"])[key]():
            for row in batch.filter(pc.is_in(batch["pair_id"], ids)).to_pylist():
                texts[place, row.pop("pair_id")] = row
    return texts
