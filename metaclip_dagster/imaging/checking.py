"""Check that bytes are an image that training can read, and write it anew where it must look otherwise."""

import io
import re
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from metaclip_dagster.imaging.forms import Form
from metaclip_dagster.pictures import flatten, has_too_many_scans, make_upright, read_orientation

if TYPE_CHECKING:
    from PIL import Image


class BadImageError(Exception):
    """Bytes that training cannot use; the only argument is the reason, as it is counted in `dropped`."""


@dataclass(frozen=True)
class CheckedImage:
    """An image that every loader reads alike: its bytes, jpg, png or webp, and its pixels across and down.

    The pixels that it came with are those of the upright image, too.
    """

    data: bytes
    format: str
    width: int
    height: int
    fetched_width: int
    fetched_height: int

    def columns(self) -> dict[str, Any]:
        """What IMAGES has of it, but for its bytes."""
        names = ("format", "width", "height", "fetched_width", "fetched_height")
        return {name: getattr(self, name) for name in names}


def check_image(
    data: bytes, *, form: Form | None = None, max_bytes: int = 20 << 20, max_pixels: int = 25_000_000
) -> CheckedImage:
    """The image as it came, byte for byte, unless it is transparent, or its EXIF says to turn it: then written again.

    Loaders drop alpha, and many do not turn. What was stored without loss is written without loss, in its own format,
    but a lossless WebP of above a megapixel as PNG; a JPEG keeps its quantization tables. With a `form` that the image
    does not have, it is written in that. Size and kind are judged by the header, before any pixel is decoded; then all
    data are decoded once, by the library that training reads with. Of a JPEG that stays, an eighth of the pixels across
    and down is computed. Memory is 16 bytes a pixel for WebP, 8 for the others.

    Raises:
        BadImageError: `empty`, `too_large` (as it came, or as it would be stored), `not_an_image`,
            `unsupported_format_<name>` (JPEG, PNG and WebP are opened, and nothing else), `unsupported_mode` (16 bits
            or floats in one channel, which no two loaders scale alike), `too_many_pixels`, `too_small`, `too_complex`,
            `animated` or `undecodable`.

    """
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  # what reads the graph must not load it

    if not data:
        raise BadImageError("empty")
    if len(data) > max_bytes:
        raise BadImageError("too_large")
    if has_too_many_scans(data):
        raise BadImageError("too_complex")
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            checked = _write(data, _decode(data, max_pixels, form), form)  # the decoder is gone by then
        except BadImageError:
            raise
        except Image.DecompressionBombError:
            raise BadImageError("too_many_pixels") from None
        except UnidentifiedImageError:
            other = _OTHER_FORMATS.match(data)
            raise BadImageError(f"unsupported_format_{other.lastgroup}" if other else "not_an_image") from None
        except MemoryError:
            raise  # the pixels are bounded above: this machine's memory is at fault
        except Exception:  # Pillow's parsers raise whatever their arithmetic runs into
            raise BadImageError("undecodable") from None
    if len(checked.data) > max_bytes:
        raise BadImageError("too_large")
    return checked


# Warning filters belong to the process: one thread at a time may set them aside.
_QUIET = threading.Lock()
_FORMATS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}  # MPO: a JPEG with more pictures after it
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"}
_OTHER_FORMATS = re.compile(
    rb"(?P<gif>GIF8)|(?P<bmp>BM)|(?P<tiff>II[*+]\0|MM\0[*+])|(?P<ico>\0\0[\1\2]\0)|(?P<psd>8BPS)|(?P<postscript>%!PS)|"
    rb"(?P<avif>....ftyp(?:avi[fs]|.{4,32}?avif))|(?P<heif>....ftyp(?:hei|hev|mif1|msf1))|(?P<mp4>....ftyp)|"
    rb"(?P<jxl>\0\0\0\x0cJXL |\xff\x0a)|(?P<jp2>\0\0\0\x0cjP|\xff\x4f\xff\x51)|"
    rb"(?P<svg>\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{,512}?-->\s*)?<svg)",
    re.DOTALL,
)
_SIDEWAYS = 5
_FEWEST = (1, 1)  # pixels to decode: an eighth of each side, which is the least that libjpeg gives
_MIN_SIDE = 4  # below are counting pixels and spacers
# Above, what loses nothing is written fast: WebP's encoder takes 24 bytes and a microsecond a pixel.
_MAX_SLOW_PIXELS = 1_000_000


class _Decoded(NamedTuple):
    """Format and upright size of what came; where it must be written again, its pixels and how to encode them."""

    format: str
    size: tuple[int, int]
    picture: "Image.Image | None" = None
    options: Mapping[str, Any] = MappingProxyType({})


def _decode(data: bytes, max_pixels: int, form: Form | None) -> _Decoded:
    from PIL import Image  # noqa: PLC0415

    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
        _check_header(image, max_pixels)
        kind, size = _FORMATS[str(image.format)], image.size
        fits = form is None or form.fits(image, kind)
        if kind == "jpg":
            stays = fits and read_orientation(image) == 1
            # The decoder still reads every bit of every scan: what is cut short or broken is found as ever.
            image.draft(None, _FEWEST if stays else form.size_of(*size) if form else size)
        image.load()
        if read_orientation(image) >= _SIDEWAYS:
            size = size[::-1]
        is_turned, flat = make_upright(image), flatten(image)
        if flat is None and fits and not is_turned:
            return _Decoded(kind, size)
        picture = image.copy() if flat is None else flat
        if form:
            picture.info = {"icc_profile": image.info.get("icc_profile")}
            return _Decoded(kind, size, picture)
        options: dict[str, Any]
        if kind == "jpg":
            options = _copy_encoding(image)
        elif kind == "webp" and not _is_lossless(data):
            options = {"quality": 90, "method": 0}
        elif image.width * image.height <= _MAX_SLOW_PIXELS:
            options = {"lossless": True} if kind == "webp" else {}
        else:
            kind, options = "png", {"compress_level": 3}
        return _Decoded(kind, size, picture, options)


def _check_header(image: "Image.Image", max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise BadImageError("too_many_pixels")
    if min(image.size) < _MIN_SIDE:
        raise BadImageError("too_small")
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise BadImageError("animated")
    if image.mode not in _MODES:
        raise BadImageError("unsupported_mode")


def _copy_encoding(jpeg: Any) -> dict[str, Any]:
    """Each component's quantization table, and whether colours are halved: little is lost, and the size stays."""
    tables = [jpeg.quantization[table] for *_, table in jpeg.layer]
    return {"qtables": tables, "subsampling": "4:2:0" if jpeg.layer[0][1:3] == (2, 2) else "4:4:4"}


def _is_lossless(webp: bytes) -> bool:
    """Whether its pixels lie in a VP8L chunk: the first, or after those of its header."""
    at = 12
    while (kind := webp[at : at + 4]) not in (b"VP8 ", b"VP8L", b"ANMF", b""):
        at += 8 + (size := int.from_bytes(webp[at + 4 : at + 8], "little")) + size % 2
    return kind == b"VP8L" or (kind == b"ANMF" and b"VP8L" in webp[at + 24 : at + 28])


def _write(came: bytes, decoded: _Decoded, form: Form | None) -> CheckedImage:
    kind, size, picture, options = decoded
    if picture is None:
        return CheckedImage(came, kind, *size, *size)
    if form:
        if not form.holds(*size):
            raise BadImageError("too_large")
        data, stored_size = form.encode(picture, size)
        return CheckedImage(data, form.format, *stored_size, *size)
    file = io.BytesIO()
    picture.save(file, "JPEG" if kind == "jpg" else kind, icc_profile=picture.info.get("icc_profile"), **options)
    return CheckedImage(file.getvalue(), kind, *size, *size)
