"""Score every text of the store's images beside its image, for filters that see both."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from metaclip_dagster.filtering.scoring import Store
from metaclip_dagster.filters import PairScorer
from metaclip_dagster.pictures import to_rgb
from metaclip_dagster.schemas import PAIR_SCORES, writes
from metaclip_dagster.spilling import insert, spilling

_IMAGES_TOGETHER = 256


@writes(PAIR_SCORES, name="filtering:score_pairs")
def score_pairs(
    texts: Iterable[pa.RecordBatch],
    images: Iterable[pa.RecordBatch],
    known: Iterable[pa.RecordBatch],
    *,
    store: Store,
    scorers: Mapping[str, PairScorer],
    seen: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """Score every text of a bucket's IMAGE_TEXTS whose image IMAGES have; an image is read once for all of its texts.

    `known` are PAIR_SCORES of earlier runs: of the same text beside the same bytes they are taken over. `seen` counts
    the pairs `scored` now. Rows stand by image and pair. Memory holds some images' texts and one image. Raises
    ValueError where a scorer does not give a score a text.
    """
    with spilling() as query:
        query.sql("create table texts (image_id varchar, pair_id ubigint, text varchar)")
        insert(query, "texts", texts, "image_id, pair_id, text")
        query.sql('create table named (image_id varchar, sha256 varchar, tar varchar, "offset" ubigint, size ubigint)')
        insert(query, "named", images, 'image_id, sha256, tar, "offset", size', "tar is not null")
        query.sql('create table known (sha256 varchar, pair_id ubigint, scores struct("filter" varchar, score double))')
        insert(query, "known", known, "sha256, pair_id, unnest(scores)")
        query.sql("""
            create table scored_before as
            select sha256, pair_id, map_from_entries(list(("filter", score))) as scores from (
                select sha256, pair_id, scores."filter" as "filter", min(scores.score) as score from known group by all
            ) group by all
        """)
        rows = query.sql("""
            with latest as (select distinct on (image_id) * from named order by image_id, tar desc)
            select image_id, sha256, tar, "offset", size,
                list(struct_pack(pair_id, text, scores) order by pair_id) as texts
            from texts join latest using (image_id) left join scored_before using (sha256, pair_id)
            group by all order by image_id
        """)
        for batch in rows.to_arrow_reader(_IMAGES_TOGETHER):
            scored = [row for image in batch.to_pylist() for row in _score_texts(image, store, scorers, seen)]
            yield pa.RecordBatch.from_pylist(scored, PAIR_SCORES)


def _score_texts(
    image: dict[str, Any], store: Store, scorers: Mapping[str, PairScorer], seen: Counter[str]
) -> Iterator[dict[str, Any]]:
    """PAIR_SCORES of one image, which is read only where a text of it lacks a score."""
    from PIL import Image  # noqa: PLC0415  # what reads the graph must not load it

    given = {row["pair_id"]: dict(row["scores"] or {}) for row in image["texts"]}
    missing = {name: [row for row in image["texts"] if name not in given[row["pair_id"]]] for name in scorers}
    if any(missing.values()):
        with Image.open(io.BytesIO(store.read(image["tar"], image["offset"], image["size"]))) as opened:
            picture = to_rgb(opened)
        for name, rows in missing.items():
            scores = scorers[name](picture, [row["text"] for row in rows]) if rows else []
            for row, score in zip(rows, scores, strict=True):
                given[row["pair_id"]][name] = float(score)
        seen["scored"] += len({row["pair_id"] for rows in missing.values() for row in rows})
    for pair_id, of_pair in given.items():
        yield {
            "image_id": image["image_id"],
            "pair_id": pair_id,
            "sha256": image["sha256"],
            "scores": [{"filter": name, "score": of_pair[name]} for name in sorted(scorers)],
        }
