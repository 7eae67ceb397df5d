"""The method of the paper on one WAT file: pairs, matches, counts, a threshold t, and what it keeps.

python examples/metaclip.py
"""

# %% Python alone: no Dagster, no torch. A file of the sample, and eight entries; put your own in their place.
from collections import Counter
from io import BytesIO
from pathlib import Path

import pyarrow as pa

from metaclip_dagster.balancing import admit, build_draw, find_thresholds
from metaclip_dagster.counting import count_entries, merge_counts
from metaclip_dagster.matching import build_matcher, match_entries, why_unmatchable
from metaclip_dagster.metadata import build_entries, read_own_entries
from metaclip_dagster.parsing import parse_wat

sample = next(filter(Path.is_dir, (Path("data/sample"), Path("../data/sample"))))  # from the checkout, or from here
wat = min(sample.rglob("*.wat.gz"))  # or any WAT file of Common Crawl
words = b"skin tone\nwoman\nhand\nface\nflag\ncat\nheart\npancakes\n"  # or a file: Path("mine.txt").read_bytes()

# %% The metadata (section 3.1): entries, in one list here; the paper takes 500,000 from WordNet and Wikipedia.
dropped, seen = Counter(), Counter()
mine = read_own_entries(BytesIO(words), name="mine.txt", dropped=dropped)
entries = pa.Table.from_batches(build_entries({"en": {"mine": mine}}, why_unmatchable=why_unmatchable, dropped=dropped))

# %% Image-text pairs: each image of a page with its alt text.
with wat.open("rb") as archive:
    pairs = list(parse_wat(archive, name=wat.name, dropped=dropped))
print(f"{sum(batch.num_rows for batch in pairs):,} pairs, as {pairs[0]['text'][0]!s:.60}")


# %% Substring matching (3.2): the entries that stand in a text as whole words. Texts of other languages would go here.
def all_english(texts: list[str]) -> tuple[list[str], list[float]]:
    """Any language identification: a code and how sure it is, for each text."""
    return ["en"] * len(texts), [1.0] * len(texts)


matches = list(match_entries(pairs, matcher=build_matcher(entries), identify=all_english, dropped=dropped))

# %% Counts (3.3) and balancing (3.4, 3.5): each match of an entry that has over t is kept with probability t / count.
counts = merge_counts(count_entries(matches, snapshot="one file", seen=seen).to_batches(), entries=entries)
admissions = list(admit(matches, draw=build_draw(counts), seed=0))
[t] = find_thresholds([seen["pairs"] // 10], admissions, counts)  # the t that keeps a tenth

# %% A pair is in D(t) if one of its matches was kept. Its lowest such t is `admitted_at`, so one pass answers every t.
kept = [batch.filter(pa.array(batch["admitted_at"].to_numpy() < t)) for batch in admissions]
print(f"{seen['pairs']:,} pairs match, {sum(batch.num_rows for batch in kept):,} are in D({t:.0f}):")
ids = {pair_id for batch in kept for pair_id in batch["pair_id"].to_pylist()}
after = Counter(
    entry_id
    for batch in matches
    for pair_id, entry_ids in zip(batch["pair_id"].to_pylist(), batch["entry_ids"].to_pylist(), strict=True)
    if pair_id in ids
    for entry_id in entry_ids
)
for row in sorted(counts.to_pylist(), key=lambda row: -row["entry_count"])[:10]:
    print(f"{row['entry_count']:7,} -> {after[row['entry_id']]:5,}  {row['entry']}")
