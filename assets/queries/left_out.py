"""Find examples of what a training set leaves out: near duplicates, filtered images, failures by reason."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from assets.queries.hosts import count_hosts
from assets.queries.pictures import read_pictures
from metaclip_dagster.reporting.html.thumbnails import Picture
from metaclip_dagster.reporting.left_out.page import Group, LeftOut, Reason
from metaclip_dagster.spilling import spilling
from resources.lake.resource import Lake

NUM_GROUPS, NUM_COPIES = 6, 7
NUM_FILTERED = 8
NUM_ABSENT = 5

NEAR_DUPLICATE = "near_duplicate"
Row = Mapping[str, Any]


def read_left_out(
    lake: Lake,
    images: str,
    training_set: str,
    rings: Sequence[str],
    *,
    limits: Mapping[str, str],
    distance: int | None,
    verdicts: str | None,
    opt_outs: Sequence[str],
) -> LeftOut:
    """What the training set, as it was just made, leaves out; `rings` are those of its t.

    `images` is the folder or URL of the image store.
    `limits` says by a filter's reason what it asks, `verdicts` which partition of IMAGE_VERDICTS is of this set's
    config, None where none is: those of an earlier one stay in the lake. `opt_outs` are the signals that leave
    an image out.
    """
    manifest, t = lake.manifest("training_sets", training_set), rings[-1]
    dropped = manifest.total("dropped")
    duplicates, filtered = _find_judged(lake, verdicts) if verdicts else ([], [])
    absent = _find_absent(lake, rings, opt_outs)
    ids = {row["image_id"] for *_, rows in (*duplicates, *filtered) for row in rows} | {near for near, *_ in duplicates}
    pairs = _read_pairs(lake, t, {*ids, *(image_id for of_reason in absent.values() for image_id in of_reason)})
    pictures = read_pictures(lake, images, {image_id: pairs[image_id].text for image_id in ids})
    groups = [
        Group(
            replace(pictures[near], note="the first"),
            [replace(pictures[row["image_id"]], note=f"{row['measured']:g} bits off") for row in rows],
            num,
        )
        for near, num, rows in duplicates
    ]
    reasons = [
        Reason(reason, dropped[reason], [_note(pictures, row) for row in rows], limits.get(reason, ""), num)
        for reason, num, rows in filtered
    ]
    return LeftOut(
        training_set=training_set,
        images=manifest.total("seen")["images"],
        pairs=manifest.total("seen")["pairs"],
        distance=distance,
        groups=groups,
        filtered=reasons,
        absent=[
            Reason(reason, dropped[reason], [pairs[image_id] for image_id in of_reason])
            for reason, of_reason in absent.items()
            if dropped[reason]
        ],
        dropped=dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0]))),
        hosts=count_hosts(lake, rings, "failed"),
    )


def read_failures(lake: Lake, ring: str) -> dict[str, list[Picture]]:
    """By reason some images of the ring that could not be had, with text and URL."""
    absent = _find_absent(lake, [ring])
    pairs = _read_pairs(lake, ring, {image_id for of_reason in absent.values() for image_id in of_reason})
    return {reason: [pairs[image_id] for image_id in of_reason] for reason, of_reason in absent.items()}


def _find_absent(lake: Lake, rings: Sequence[str], opt_outs: Sequence[str] = ()) -> dict[str, list[str]]:
    """By reason some images of these rings that are not there, or that a signal speaks against."""
    with spilling() as query:
        query.register("images", lake.dataset("images", rings))
        rows = query.execute(
            """
            with judged as (
                select image_id, coalesce(reason, list_filter(
                    $opt_outs::varchar[], lambda name: list_contains([said.signal for said in opt_outs], name)
                )[1]) as reason
                from images
            )
            select reason, min(image_id, $num) from judged where reason is not null
            group by reason order by count(*) desc, reason
            """,
            {"opt_outs": list(opt_outs), "num": NUM_ABSENT},
        ).fetchall()
    return dict(rows)


def _read_pairs(lake: Lake, t: str, image_ids: set[str]) -> dict[str, Picture]:
    """Of each image its pair of least pair_id in D(t), as a picture without a thumbnail; empty where D(t) has none."""
    with spilling() as query:
        query.register("texts", lake.dataset("image_texts", [t]))
        rows = query.execute(
            """
            select image_id, min_by(url, pair_id), min_by(text, pair_id) from texts
            where image_id in (select unnest($ids)) group by image_id
            """,
            {"ids": sorted(image_ids)},
        ).fetchall()
    return {image_id: Picture(image_id) for image_id in image_ids} | {row[0]: Picture(*row) for row in rows}


def _find_judged(
    lake: Lake, partition: str
) -> tuple[list[tuple[str, int, list[Row]]], list[tuple[str, int, list[Row]]]]:
    """The largest groups of near duplicates by their first image, and each other reason; with numbers and some rows."""
    with spilling() as query:
        query.register("verdicts", lake.dataset("image_verdicts", [partition]))
        duplicates = query.execute(
            """
            with largest as (
                select near, count(*) as num from verdicts where reason = $reason
                group by near order by num desc, near limit $groups
            )
            select near, num, min_by(struct_pack(image_id, measured), image_id, $copies)
            from verdicts join largest using (near) where reason = $reason
            group by near, num order by num desc, near
            """,
            {"reason": NEAR_DUPLICATE, "groups": NUM_GROUPS, "copies": NUM_COPIES},
        ).fetchall()
        filtered = query.execute(
            """
            select reason, count(*) as num, min_by(struct_pack(image_id, measured, near), image_id, $num)
            from verdicts where reason <> $reason group by reason order by num desc, reason
            """,
            {"reason": NEAR_DUPLICATE, "num": NUM_FILTERED},
        ).fetchall()
    return duplicates, [(reason, num, sorted(rows, key=lambda row: -row["measured"])) for reason, num, rows in filtered]


def _note(pictures: Mapping[str, Picture], row: Row) -> Picture:
    """The picture with what was measured of it."""
    note = f"{row['measured']:g} bits off {row['near']}" if row["near"] else f"score {row['measured']:.4g}"
    return replace(pictures[row["image_id"]], note=note)
