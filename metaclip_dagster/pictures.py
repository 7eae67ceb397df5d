"""Turn a picture upright and put it on white, as every decoder here must, and know one that takes hours to decode."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

MAX_SCANS = 100
"""Of a progressive JPEG: photos have about ten."""


def has_too_many_scans(data: bytes) -> bool:
    """Whether an encoded picture is a JPEG of more than MAX_SCANS scans.

    Each takes 75 bytes and a pass over all pixels: a small file could take hours to decode.
    """
    return data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > MAX_SCANS


def to_rgb(image: "Image.Image") -> "Image.Image":
    """The picture in RGB, upright and on white; `image` itself may be turned in place."""
    image.load()
    make_upright(image)
    flat = flatten(image)
    return image.convert("RGB") if flat is None else flat


def read_orientation(image: "Image.Image") -> int:
    """How EXIF, or else XMP, says to turn a picture, from 1 to 8: 1 leaves it, 5 and above swap its sides.

    A broken EXIF says nothing, as in browsers. A JPEG need not be loaded for it.
    """
    if _ORIENTATION.isdisjoint(image.info):
        return 1
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except MemoryError:
        raise
    except Exception:  # Pillow's parser raises whatever its arithmetic runs into
        return 1
    return orientation if orientation in range(1, 9) else 1


def make_upright(image: "Image.Image") -> bool:
    """Turn a loaded picture in place as its EXIF, or else its XMP, says, and tell whether it had to be.

    A broken EXIF says nothing, as in browsers.
    """
    if _ORIENTATION.isdisjoint(image.info):
        return False
    from PIL import ImageOps  # noqa: PLC0415  # what reads the graph must not load it

    pixels = image.im
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # noqa: S110  # Pillow's parser raises whatever its arithmetic runs into
        pass
    return image.im is not pixels


def flatten(image: "Image.Image") -> "Image.Image | None":
    """The picture on white in RGB; None where nothing of it is transparent.

    Loaders drop alpha, so that what it hid comes out, mostly black.
    """
    from PIL import Image  # noqa: PLC0415

    if not image.has_transparency_data:
        return None
    pixels = image if image.mode == "RGBA" else image.convert("RGBA")
    if pixels.getchannel("A").getextrema() == (255, 255):
        return None
    flat = Image.new("RGB", image.size, "white")
    flat.paste(pixels, mask=pixels)
    return flat


# Where Pillow keeps what may hold an orientation: EXIF, ImageMagick's EXIF in a PNG's text, XMP.
_ORIENTATION = frozenset({"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"})
_ORIENTATION_TAG = 0x0112
