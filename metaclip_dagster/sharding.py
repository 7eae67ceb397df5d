"""Give the images of a training their texts: SUBSETS -> IMAGE_TEXTS, and with IMAGES -> TRAINING_SETS."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.filters import find_filtered_pairs
from metaclip_dagster.schemas import IMAGE_TEXTS, IMAGE_VERDICTS, IMAGES, PAIR_VERDICTS, TRAINING_SETS, writes
from metaclip_dagster.spilling import ROWS, insert, spilling
from metaclip_dagster.urls import bucket_images


@writes(IMAGE_TEXTS, name="sharding:scatter_texts", rows_together=4096)
def scatter_texts(subset: Mapping[str, Iterable[pa.RecordBatch]], *, num_buckets: int) -> Iterator[pa.RecordBatch]:
    """The pairs of a group of SUBSETS shards by the bucket of their image, bucket by bucket. Holds the group's rows."""
    batches = [batch.select(IMAGE_TEXTS.names[1:]) for shard in subset.values() for batch in shard]
    rows = pa.Table.from_batches(batches, pa.schema(list(IMAGE_TEXTS)[1:]))
    buckets = pa.array(bucket_images(rows["image_id"].to_pylist(), num_buckets))
    bucketed = rows.add_column(0, IMAGE_TEXTS.field("bucket"), buckets)
    yield from bucketed.sort_by([("bucket", "ascending"), ("image_id", "ascending")]).cast(IMAGE_TEXTS).to_batches()


def choose_buckets_together(num_buckets: int, num_pairs: int) -> int:
    """How many of the image store's buckets a shard of TRAINING_SETS takes, for a subset of so many pairs.

    A shard costs some 30 ms however little it has. There are shards enough for many workers, of 100,000 pairs at most
    on average, or of a bucket each where buckets have more.

    >>> choose_buckets_together(64, 10_000), choose_buckets_together(4096, 10_000), choose_buckets_together(4096, 10**9)
    (1, 64, 1)
    """
    num_shards = max(64, -(-num_pairs // 100_000))
    return max(1, num_buckets // num_shards)


@writes(TRAINING_SETS, name="sharding:build_training_set")
def build_training_set(
    texts: Iterable[pa.RecordBatch],
    images: Iterable[pa.RecordBatch],
    verdicts: Iterable[pa.RecordBatch] = (),
    pair_scores: Iterable[pa.RecordBatch] = (),
    pair_verdicts: Iterable[pa.RecordBatch] = (),
    *,
    opt_outs: Sequence[str] = (),
    pair_filters: Mapping[str, Mapping[str, float]] | None = None,
    dropped: Counter[str],
    seen: Counter[str],
) -> pa.Table:
    """Buckets of a training set: each image that is at hand with all its texts, tar by tar. Holds the buckets' rows.

    `texts` are IMAGE_TEXTS of the set's subset, `images` the IMAGES rows of every ring it takes in; an image that moved
    between rings may be named twice, and is there if any row says so; of two tars the later one took the place of one
    that was lost. Those that IMAGE_VERDICTS leave out are not at hand, nor those of which one of the signals `opt_outs`
    stands, the first being the reason. Pairs whose image failed, or is left out, are counted in `dropped` by its
    reason; `seen` counts `pairs` and `images` of the set, `failed_images`, `filtered_images` and `opted_out_images`.
    Of an image that is at hand, texts go that PAIR_VERDICTS name, or whose PAIR_SCORES lie outside `pair_filters`,
    limits by filter, and the image where none is left: `seen` counts these `filtered_texts` and `textless_images`.
    Raises ValueError if an image was never asked for.
    """
    with duckdb.connect(config={"threads": 1}) as query:
        query.register("arriving", pa.Table.from_batches(texts, IMAGE_TEXTS))
        query.register("named", pa.concat_tables([IMAGES.empty_table(), *map(_as_table, images)], **_FILL))
        query.register("judged", pa.Table.from_batches(verdicts, IMAGE_VERDICTS))
        query.register("by_scores", find_filtered_pairs(pair_scores, pair_filters or {}))
        query.register("by_columns", pa.Table.from_batches(pair_verdicts, PAIR_VERDICTS))
        query.execute(
            """
            create table images as
            select distinct on (image_id) image_id, tar, reason, list_filter(
                $1::varchar[], lambda name: tar is not null and list_contains([said.signal for said in opt_outs], name)
            )[1] as opted_out
            from named order by image_id, tar desc nulls last
            """,
            [list(opt_outs)],
        )
        query.sql("""
            create table pairs as
            select arriving.*,
                coalesce(judged.reason, opted_out, images.reason, by_columns.reason, by_scores.reason) as reason,
                if(
                    coalesce(judged.reason, opted_out, by_columns.reason, by_scores.reason) is null, images.tar, null
                ) as tar,
                case when judged.reason is not null then 'filtered_images' when opted_out is not null
                then 'opted_out_images' when images.tar is not null then 'filtered_texts' else 'failed_images'
                end as what
            from arriving left join images using (image_id)
            left join (from judged where left_out) as judged using (image_id)
            left join by_columns using (image_id, pair_id) left join by_scores using (image_id, pair_id)
        """)
        [(unasked, example)] = query.sql(
            "select count(distinct image_id), min(url) from pairs where tar is null and reason is null"
        ).fetchall()
        if unasked:
            raise ValueError(
                f"{unasked:,} images of the subset were never asked for, {example} among them; "
                "materialize images of this t and of every smaller one, then this again"
            )
        absent = query.sql(
            "select reason, what, count(*), count(distinct image_id) from pairs where tar is null group by all"
        )
        for reason, what, num_pairs, num_images in absent.fetchall():
            dropped[reason] += num_pairs
            seen[what] += num_pairs if what == "filtered_texts" else num_images
        [(num_textless,)] = query.sql("""
            select count(*) from (
                select image_id from pairs group by image_id having bool_and(tar is null and what = 'filtered_texts')
            )
        """).fetchall()
        if num_textless:
            seen["textless_images"] += num_textless
        training_set = query.sql("""
            select tar, image_id, list(struct_pack(pair_id, text, language, entry_ids, admitted_at) order by pair_id)
            from pairs where tar is not null group by tar, image_id order by tar, image_id
        """).to_arrow_table()
    training_set = training_set.rename_columns(TRAINING_SETS.names).cast(TRAINING_SETS)
    seen["images"] += training_set.num_rows
    seen["pairs"] += pc.sum(pc.list_value_length(training_set["texts"])).as_py() or 0
    return training_set


_FILL: dict[str, Any] = {"promote_options": "default"}
"""A column that came later than the rows is null."""


def _fill_columns(images: pa.RecordBatch) -> pa.RecordBatch:
    filled = pa.concat_tables([IMAGES.empty_table(), _as_table(images)], **_FILL)
    return filled.combine_chunks().to_batches()[0] if filled.num_rows else IMAGES.empty_table().to_batches()[0]


def _as_table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def webdataset_samples(
    training_set: Iterable[pa.RecordBatch],
    subset: Iterable[pa.RecordBatch],
    read_tar: Callable[[str], Iterable[tuple[str, bytes]]],
    *,
    images: Iterable[pa.RecordBatch] = (),
    suffix: str = "jpg",
) -> Iterator[dict[str, Any]]:
    """A training set as WebDataset samples, which any trainer reads: the image, `.txt`, and `.json` with all its texts.

    `subset` are the SUBSETS rows that the set was made of, `read_tar` gives the members of one of the store's tars, as
    name and bytes. Where `images`, IMAGES rows, have an image, `.json` says its width and height and, under the names
    of img2dataset, what it came with: original_width, original_height and sha256. `.txt` is the text of the least
    pair_id. Every image has the one `suffix`, since some loaders take the first samples' members for those of all;
    `.json` names its format. Numbers that JavaScript would round are text.
    Raises ValueError if a tar lacks an image that the set names, or the subset a pair.
    """
    with spilling() as query:
        for tar, samples in _group_images(query, training_set, subset, images):
            for name, data in read_tar(tar):
                image_id, image_format = name.rsplit(".", 1)
                if image := samples.pop(image_id, None):
                    description = json.dumps(
                        {"image_id": image_id, "format": image_format, **image}, ensure_ascii=False
                    )
                    text = image["texts"][0]["text"]
                    yield {"__key__": image_id, suffix: data, "txt": text, "json": description.encode()}
            if samples:
                raise ValueError(
                    f"{tar}: {len(samples)} images of the training set are not in it, {min(samples)} among them"
                )


def _group_images(
    query: duckdb.DuckDBPyConnection,
    training_set: Iterable[pa.RecordBatch],
    subset: Iterable[pa.RecordBatch],
    images: Iterable[pa.RecordBatch],
) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """Each tar with what is known of its images: address, size, licence, texts and their pages."""
    query.sql(
        "create table stored (tar varchar, image_id varchar, width uinteger, height uinteger, original_width uinteger, "
        "original_height uinteger, sha256 varchar)"
    )
    columns = "tar, image_id, width, height, fetched_width, fetched_height, fetched_sha256"
    insert(query, "stored", map(_fill_columns, images), columns, "tar is not null")
    query.sql("create table members (tar varchar, image_id varchar, pair_id ubigint)")
    insert(query, "members", training_set, "tar, image_id, unnest(list_transform(texts, lambda text: text.pair_id))")
    names = [
        "pair_id",
        "url",
        "text",
        "language",
        "page_url",
        "license",
        "license_evidence",
        "entry_ids",
        "admitted_at",
    ]
    query.sql(
        "create table pairs (pair_id ubigint, url varchar, text varchar, language varchar, page_url varchar, "
        "license varchar, license_evidence varchar, entry_ids uinteger[], admitted_at double)"
    )
    insert(query, "pairs", subset, ", ".join(names))
    [(unknown,)] = query.sql("select count(*) from members anti join pairs using (pair_id)").fetchall()
    if unknown:
        raise ValueError(
            f"{unknown:,} pairs of the training set are not in the subset, which was made anew since; "
            "materialize this t of training_sets, then export again"
        )
    # Nothing answers at .invalid (RFC 6761): such an address was made up for an image that came without one.
    rows = query.sql("""
        select tar, image_id, any_value(if(regexp_matches(url, '^https?://[^/]*[.]invalid/'), null, url)) as url,
            list(struct_pack(
                pair_id := pair_id::varchar, text, language, entry_ids, admitted_at, page_url, license, license_evidence
            ) order by pair_id) as texts,
            any_value(width) as width, any_value(height) as height, any_value(original_width) as original_width,
            any_value(original_height) as original_height, any_value(sha256) as sha256
        from members join pairs using (pair_id) left join (select distinct * from stored) using (tar, image_id)
        group by tar, image_id order by tar
    """).to_arrow_reader(ROWS)
    tar, samples = "", dict[str, dict[str, Any]]()
    for batch in rows:
        for row in batch.to_pylist():
            if row["tar"] != tar and samples:
                yield tar, samples
                samples = {}
            tar, texts = row.pop("tar"), row.pop("texts")
            known = {name: value for name, value in row.items() if value is not None or name == "url"}
            samples[known.pop("image_id")] = {**known, "texts": texts}
    if samples:
        yield tar, samples
