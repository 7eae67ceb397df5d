"""Find for a data card pictures of what D(t) keeps of some entries, beside what it drops of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.keys import THRESHOLDS
from assets.queries.pictures import read_pictures
from assets.queries.provenance import recorded_pool
from assets.queries.rungs import thresholds_of
from metaclip_dagster.reporting.cards.pictures import CardPictures, EntryPictures, choose_pictured
from metaclip_dagster.reporting.html.thumbnails import Picture
from metaclip_dagster.spilling import spilling
from resources.lake.resource import Lake

NUM_PICTURES = 8
"""At most, of what an entry keeps, and of what it loses."""
NUM_TRIES = 3
"""Times as many pairs are looked at: an image may have failed, or be of a ring that was not fetched."""

Side = tuple[int, bool]
"""An entry's id, and whether D(t) keeps."""
Row = Mapping[str, Any]


def read_galleries(lake: Lake, images: str, t: str, entries: Sequence[Row]) -> CardPictures:
    """Pictures of pairs that match these entries, rows of a card; none, and nothing is read, before images are fetched.

    Pairs are those of least pair_id, which is a hash: any, but the same on every run. `images` is the store's folder
    or URL.
    """
    rings = lake.finished("images", THRESHOLDS)
    if not rings:
        return CardPictures()
    wider = _find_wider(lake, t, rings)
    pairs = _find_pairs(lake, t, wider, [row["entry_id"] for row in entries])
    shown = _read_first(lake, images, pairs)
    galleries = (
        EntryPictures(row, *(shown.get((row["entry_id"], stays), []) for stays in (True, False))) for row in entries
    )
    return CardPictures(choose_pictured(galleries), rings, wider, count_forms(lake, rings))


def count_forms(lake: Lake, rings: Sequence[str]) -> dict[str, int]:
    """The images of these rings by the form that they are stored in; none where all are as they came."""
    forms = Counter[str]()
    for ring in rings:
        rows = lake.dataset("images", [ring])
        if "form" in rows.schema.names:  # the ring is of a version that knows forms
            for batch in rows.to_batches(columns=["form"], filter=pc.field("tar").is_valid()):
                forms.update(form or "" for form in batch["form"].to_pylist())
        else:
            forms[""] += rows.count_rows(filter=pc.field("tar").is_valid())
    return dict(sorted(forms.items())) if any(forms) else {}


def _find_wider(lake: Lake, t: str, rings: Sequence[str]) -> str:
    """The largest rung that is of the same pool and whose images were fetched: what D(t) drops may be seen there."""
    pool = recorded_pool(lake.manifest("subsets", t))
    larger = [ring for ring in rings if THRESHOLDS.index(ring) > THRESHOLDS.index(t)]
    alike = [it for it in lake.finished("subsets", larger) if recorded_pool(lake.manifest("subsets", it)) == pool]
    return alike[-1] if alike else t


def _find_pairs(lake: Lake, t: str, wider: str, entry_ids: Sequence[int]) -> dict[Side, list[Row]]:
    """By entry and side the pairs of least pair_id in D(wider), one an image; memory holds these alone."""
    rungs = [{"language": language, "held_to": held_to} for language, held_to in thresholds_of(lake, t).items()]
    with spilling() as query:
        query.register("wider", lake.dataset("subsets", [wider]))
        query.register("rungs", pa.Table.from_pylist(rungs))
        rows = query.execute(
            """
            with matches as (
                select pair_id, image_id, url, text, admitted_at < held_to as stays,
                    unnest(list_intersect(entry_ids, $entry_ids::uinteger[])) as entry_id
                from wider join rungs using (language)
            )
            select entry_id, stays, min_by(struct_pack(pair_id, image_id, url, text), pair_id, $num) as pairs
            from matches group by all
            """,
            {"entry_ids": list(entry_ids), "num": NUM_PICTURES * NUM_TRIES},
        ).fetchall()
    return {
        (entry_id, stays): list({row["image_id"]: row for row in reversed(pairs)}.values())[::-1]
        for entry_id, stays, pairs in rows
    }


def _read_first(lake: Lake, images: str, pairs: Mapping[Side, Sequence[Row]]) -> dict[Side, list[Picture]]:
    """The first pictures of each side that are at hand; most often as many pairs have them, and no more is read."""
    shown: dict[Side, list[Picture]] = {side: [] for side in pairs}
    for first in range(0, NUM_PICTURES * NUM_TRIES, NUM_PICTURES):
        rows = {
            side: of_side[first : first + NUM_PICTURES]
            for side, of_side in pairs.items()
            if len(shown[side]) < NUM_PICTURES
        }
        pictures = read_pictures(lake, images, {row["image_id"]: "" for of_side in rows.values() for row in of_side})
        for side, of_side in rows.items():
            for row in of_side:
                # One image may be here with several texts, and under the URL that the pair has it from.
                picture = replace(pictures[row["image_id"]], text=row["text"], url=row["url"])
                if picture.thumbnail and len(shown[side]) < NUM_PICTURES:
                    shown[side].append(picture)
    return shown
