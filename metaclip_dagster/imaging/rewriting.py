"""Write stored images again where the store is to keep another form, and say which must be fetched for it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.imaging.checking import BadImageError, CheckedImage
from metaclip_dagster.imaging.forms import Form


def judge_forms(rows: pa.Table, form: str) -> tuple[list[dict[str, Any]], set[str]]:
    """Of a bucket's IMAGES, the rows that can be written again as `form`, and the ids of those that have too little.

    An image has enough where it is stored with all the pixels that the form keeps, and not at a lower quality than it.
    """
    is_other = pc.not_equal(pc.fill_null(rows["form"], ""), form)
    rewritable, too_small = list[dict[str, Any]](), set[str]()
    for row in rows.filter(pc.and_(is_other, pc.is_valid(rows["tar"]))).to_pylist():
        if _has_enough(row, Form.parse(form)):
            rewritable.append(row)
        else:
            too_small.add(row["image_id"])
    return rewritable, too_small


def rewrite_images(
    rows: Iterable[Mapping[str, Any]],
    read: Callable[[str, int, int], bytes],
    check: Callable[[bytes], CheckedImage],
    form: str,
    seen: Counter[str],
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Each image of these IMAGES rows in the form that `check` gives it, with its row; `seen` counts the `rewritten`.

    One that cannot be written so, because it is too large then, stays as it is.
    """
    for row in rows:
        data = read(row["tar"], row["offset"], row["size"])
        try:
            checked = check(data)
        except BadImageError:
            continue
        came = {name: row[name] for name in _OF_WHAT_CAME}
        if came["fetched_width"] is None:  # of a version that stored all as it came
            came |= {"fetched_width": row["width"], "fetched_height": row["height"]}
        seen["rewritten"] += 1
        yield {**checked.columns(), **came, "form": form}, checked.data


_OF_WHAT_CAME = (
    *("image_id", "url", "fetched_sha256", "fetched_size", "fetched_width", "fetched_height", "opt_outs"),
    *("source", "seconds", "fetched_md5"),
)


def _has_enough(row: Mapping[str, Any], wanted: Form | None) -> bool:
    stored = Form.parse(row["form"] or "")
    if stored is None:
        return True
    is_as_it_came = bool(row["sha256"] == row["fetched_sha256"])
    if wanted is None or is_as_it_came:
        return is_as_it_came
    came = (row["fetched_width"] or row["width"], row["fetched_height"] or row["height"])
    return bool(stored.quality >= wanted.quality and min(row["width"], row["height"]) >= min(wanted.size_of(*came)))
