"""Make thumbnails of pictures that nobody trusts: decoded, made small, encoded again, no byte of theirs left."""

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from metaclip_dagster.pictures import has_too_many_scans, to_rgb

if TYPE_CHECKING:
    from PIL import Image

Pictures = Literal["shown", "blurred", "off"]
"""How pages show a crawl's pictures: as they are, blurred until somebody points at one, or by their texts alone."""

SIDE = 96
MOST_BYTES = 4_000
"""Of a thumbnail, so that pages of many stay within their bounds: one of noise would have twice as many."""
_QUALITIES = (80, 50, 20, 5)
_MAX_PIXELS = 25_000_000  # what the image store takes


@dataclass(frozen=True)
class Picture:
    """A picture as a page shows it, with what is said of it."""

    image_id: str
    """The image's id as 24 hexadecimal digits, or task/sample for a test image."""
    url: str = ""
    """Where a crawl found it; a page must show it, for takedowns find pages by URLs. Empty for a test image."""
    text: str = ""
    thumbnail: bytes | None = None
    """A JPEG of ours; None where there is no picture, or none any more."""
    score: float | None = None
    """What an NSFW filter gave it, where one ran."""
    note: str = ""
    """One more line, such as the name that a model gave it."""


def describe_picture(picture: Picture) -> dict[str, Any]:
    """A picture as JSON: what a page shows of it, with its whole text and URL, and no bytes."""
    return {
        "image_id": picture.image_id,
        "url": picture.url,
        "text": picture.text,
        "note": picture.note,
        "nsfw": picture.score,
        "has_picture": picture.thumbnail is not None,
    }


def make_thumbnail(data: bytes, *, side: int = SIDE) -> bytes | None:
    """A JPEG of at most `side` pixels a side, upright and on white; None for what is no JPEG, PNG or WebP to be read.

    Nothing of the picture's own bytes is in it: no metadata, no profile, nothing behind its end.
    """
    from PIL import Image  # noqa: PLC0415  # what reads the graph must not load it

    if has_too_many_scans(data):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
                if image.width * image.height > _MAX_PIXELS:
                    return None
                image.draft("RGB", (2 * side, 2 * side))
                return encode_thumbnail(to_rgb(image), side=side)
        except MemoryError:
            raise  # the pixels are bounded above: this machine's memory is at fault
        except Exception:  # Pillow's parsers raise whatever their arithmetic runs into
            return None


def encode_thumbnail(image: "Image.Image", *, side: int = SIDE) -> bytes:
    """A JPEG of at most `side` pixels a side of a decoded RGB picture, which stays as it is.

    What would have more than MOST_BYTES is encoded more coarsely.
    """
    small = image.copy()
    small.thumbnail((side, side))
    small.info.clear()  # Pillow would write its comment, its profile and its EXIF again
    for quality in _QUALITIES:
        file = io.BytesIO()
        small.save(file, format="jpeg", quality=quality)
        if file.tell() <= MOST_BYTES:
            break
    return file.getvalue()
