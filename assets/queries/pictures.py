"""Show images of the store: look them up in IMAGES, and make a thumbnail of each that is still there."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from assets.keys import SUBSETS
from assets.queries.lookups import Reader
from metaclip_dagster.reporting.html.thumbnails import Picture, make_thumbnail
from resources.images.store import ImageStore
from resources.lake.resource import Lake


def read_pictures(
    lake: Lake, images: str, texts: Mapping[str, str], *, rungs: Sequence[str] = SUBSETS
) -> dict[str, Picture]:
    """Pictures by image_id, of images of any ring of these rungs and mixtures, each with the text that is given for it.

    One that was never fetched, failed, or is gone from the store has no thumbnail; one that is in no ring has no URL
    either. Where an NSFW filter ran, each has its score. `images` is the store's folder or URL. Each image costs a look
    into a file of each ring: show some hundred at most.
    """
    reader, store = Reader(lake), ImageStore(images)
    rings, scored = (reader.finished(table, *rungs) for table in ("images", "image_scores"))
    pictures = (_read_picture(reader, store, rings, image_id, text) for image_id, text in texts.items())
    return {it.image_id: replace(it, score=_read_score(reader, scored, it.image_id)) for it in pictures}


def _read_score(reader: Reader, rings: list[str], image_id: str) -> float | None:
    """What an NSFW filter gave the image, whatever module it is of."""
    rows = (row for ring in rings for row in reader.rows_of_image("image_scores", ring, image_id))
    scores = (score for row in rows for score in row["scores"])
    return next((it["score"] for it in scores if it["filter"].rpartition(":")[2].lower() == "nsfw"), None)


def _read_picture(reader: Reader, store: ImageStore, rings: list[str], image_id: str, text: str) -> Picture:
    rows = [row for ring in rings for row in reader.rows_of_image("images", ring, image_id)]
    stored = next((row for row in rows if row["tar"]), None)
    url = next((row["url"] for row in rows), "")
    if stored is None:
        return Picture(image_id, url, text, note=next((row["reason"] for row in rows), "not fetched"))
    try:
        data = store.read(stored["tar"], stored["offset"], stored["size"])
    except (ValueError, OSError):  # the tar was cut short, or deleted with the store
        return Picture(image_id, url, text, note="no longer in the store")
    thumbnail = make_thumbnail(data)
    return Picture(image_id, url, text, thumbnail, note="" if thumbnail else "no longer in the store")
