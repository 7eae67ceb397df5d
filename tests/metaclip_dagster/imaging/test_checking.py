"""An image is taken as it came, written again upright and on white, or refused with a reason."""

import io
import pickle
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageOps, ImageStat

from metaclip_dagster.evaluation.images import Sample, decode_image
from metaclip_dagster.filtering.hashes import perceptual_hash
from metaclip_dagster.imaging.checking import BadImageError, check_image
from metaclip_dagster.pictures import to_rgb

Make = Callable[..., bytes]


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def picture(mode: str = "RGB", side: int = 16) -> Image.Image:
    return Image.linear_gradient("L").resize((side, side)).convert(mode)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, pixels: bytes, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + b"".join(chunks)
        + chunk(b"IDAT", zlib.compress(pixels, 9))
        + chunk(b"IEND", b"")
    )


def png_bomb(side: int = 30_000) -> bytes:
    """Some 110 KB that would decode to 0.9 GB or more."""
    return png(side, side, bytes((1 + (side + 7) // 8) * side))


def huge_jpeg() -> bytes:
    data = encode(picture(), "JPEG")
    return data.replace(struct.pack(">HH", 16, 16), struct.pack(">HH", 65_500, 65_500), 1)


def huge_webp(side: int = 13_000) -> bytes:
    """An animation of one small frame on a canvas of 169 million pixels."""
    frame = encode(picture(), "WEBP")[12:]
    where = bytes(6) + (15).to_bytes(3, "little") * 2 + bytes(4)
    size = (side - 1).to_bytes(3, "little")
    parts = [
        (b"VP8X", bytes([2, 0, 0, 0]) + size * 2),
        (b"ANIM", bytes(6)),
        (b"ANMF", where + frame),
        (b"ANMF", where + frame),
    ]
    body = b"WEBP" + b"".join(kind + struct.pack("<I", len(part)) + part for kind, part in parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:])


def scans(num_scans: int) -> bytes:
    data = encode(picture(side=64), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * num_scans + data[-2:]


def oversized_text(kind: bytes = b"zTXt") -> bytes:
    """A PNG of 100 KB with a comment of 100 MB."""
    deflate = zlib.compressobj(9)
    packed = b"".join(deflate.compress(bytes(1 << 20)) for _ in range(100)) + deflate.flush()
    return png(16, 16, bytes(3 * 16), chunk(kind, b"Comment\0\0" + packed))


BAD: dict[str, tuple[str, Make]] = {
    "no bytes": ("empty", lambda: b""),
    "a web page": ("not_an_image", lambda: b"<!DOCTYPE html><html>Not found</html>"),
    "text": ("not_an_image", lambda: b"moved"),
    "a header alone": ("not_an_image", lambda: b"\x89PNG\r\n\x1a\n"),
    "a GIF": ("unsupported_format_gif", lambda: encode(picture("P"), "GIF")),
    "an animated GIF": ("unsupported_format_gif", lambda: animated("GIF")),
    "a bitmap": ("unsupported_format_bmp", lambda: encode(picture(), "BMP")),
    "a TIFF of 64 bits": ("unsupported_format_tiff", lambda: b"II+\0\x08\0\0\0\x10\0"),
    "a TIFF": ("unsupported_format_tiff", lambda: encode(picture(), "TIFF")),
    "an AVIF": ("unsupported_format_avif", lambda: encode(picture(), "AVIF")),
    "an icon": ("unsupported_format_ico", lambda: encode(picture(), "ICO")),
    "a drawing": (
        "unsupported_format_svg",
        lambda: b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    ),
    "PostScript": ("unsupported_format_postscript", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
    "a JPEG 2000": ("unsupported_format_jp2", lambda: encode(picture(), "JPEG2000")),
    "a JPEG XL": ("unsupported_format_jxl", lambda: b"\xff\x0a\x18\x50"),
    "a phone's HEIC": ("unsupported_format_heif", lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
    "an AVIF by its second name": ("unsupported_format_avif", lambda: b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf"),
    "a film": ("unsupported_format_mp4", lambda: b"\0\0\0\x18ftypisom\0\0\2\0isommp42"),
    "an animated PNG": ("animated", lambda: animated("PNG")),
    "an animated WebP": ("animated", lambda: animated("WEBP")),
    "a PNG of 10 billion pixels": ("too_many_pixels", lambda: png(100_000, 100_000, b"")),
    "a PNG bomb": ("too_many_pixels", png_bomb),
    "a JPEG of 4 billion pixels": ("too_many_pixels", huge_jpeg),
    "a WebP canvas of 169 million pixels": ("too_many_pixels", huge_webp),
    "a counting pixel": ("too_small", lambda: encode(picture(side=1), "PNG")),
    "a hair line": ("too_small", lambda: encode(picture(side=16).resize((16, 3)), "JPEG")),
    "a JPEG of many scans": ("too_complex", lambda: scans(200)),
    "16 bits": ("unsupported_mode", lambda: encode(Image.new("I;16", (16, 16)), "PNG")),
    "half a JPEG": ("undecodable", lambda: (data := encode(picture(side=64), "JPEG"))[: len(data) * 3 // 4]),
    "half a PNG": ("undecodable", lambda: (data := encode(Image.effect_noise((64, 64), 90), "PNG"))[: len(data) // 2]),
    "half a WebP": ("undecodable", lambda: (data := encode(picture(side=64), "WEBP"))[: len(data) // 2]),
    "a PNG with a comment of 100 MB": ("undecodable", oversized_text),
    "a PNG with a colour profile of 100 MB": ("undecodable", lambda: oversized_text(b"iCCP")),
}


@pytest.mark.parametrize("what", BAD)
def test_an_image_that_training_cannot_use_is_refused_with_its_reason(what: str) -> None:
    reason, make = BAD[what]
    assert reason_of(make()) == reason


def reason_of(data: bytes, **options: Any) -> str:
    try:
        check_image(data, **options)
    except BadImageError as bad:
        return str(bad)
    return "kept"


KEPT: dict[str, tuple[str, Make]] = {
    "grey JPEG": ("jpg", lambda: encode(picture("L"), "JPEG")),
    "colour JPEG": ("jpg", lambda: encode(picture(), "JPEG")),
    "CMYK JPEG": ("jpg", lambda: encode(picture("CMYK"), "JPEG")),
    "progressive JPEG": ("jpg", lambda: encode(picture(), "JPEG", progressive=True)),
    "JPEG with more pictures": ("jpg", lambda: encode(picture(), "MPO", save_all=True, append_images=[picture()])),
    "JPEG with a broken EXIF": ("jpg", lambda: encode(picture(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0")),
    "JPEG with a program behind it": ("jpg", lambda: encode(picture(), "JPEG") + pickle.dumps(print) + bytes(1 << 20)),
    "JPEG with a GIF in a comment": ("jpg", lambda: encode(picture(), "JPEG", comment=b"GIF89a\xff\xd8PK\3\4")),
    "1-bit PNG": ("png", lambda: encode(picture("1"), "PNG")),
    "palette PNG": ("png", lambda: encode(picture("P"), "PNG")),
    "colour PNG": ("png", lambda: encode(picture(), "PNG")),
    "opaque PNG with alpha": ("png", lambda: encode(picture("RGBA"), "PNG")),
    "WebP": ("webp", lambda: encode(picture(), "WEBP")),
    "lossless WebP": ("webp", lambda: encode(picture(), "WEBP", lossless=True)),
}  # fmt: skip


@pytest.mark.parametrize("what", KEPT)
def test_an_opaque_image_is_kept_byte_for_byte(what: str) -> None:
    kind, make = KEPT[what]
    image = check_image(data := make())
    assert (image.format, image.width, image.height) == (kind, 16, 16)
    assert image.data is data


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGBA"), ("PNG", "LA"), ("PNG", "P"), ("PNG", "RGB"), ("WEBP", "RGBA")]
)
def test_alpha_lands_on_white_without_loss(kind: str, mode: str) -> None:
    image = Image.new("RGBA", (9, 7), (200, 40, 0, 255))
    image.putpixel((1, 2), (0, 0, 0, 0))
    image.putpixel((3, 4), (0, 0, 0, 128))
    if mode == "P":
        data = encode(image.quantize(), kind)
    elif mode == "RGB":
        data = encode(image.convert("RGB"), kind, transparency=(0, 0, 0))
    else:
        data = encode(image.convert(mode), kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    checked = check_image(data)
    assert (checked.format, checked.width, checked.height) == (kind.lower(), 9, 7)
    with Image.open(io.BytesIO(checked.data)) as flat:
        assert flat.mode == "RGB"
        assert flat.getpixel((1, 2)) == (255, 255, 255)
        if mode == "RGBA":
            assert flat.getpixel((3, 4)) == (127, 127, 127)
            assert flat.getpixel((0, 0)) == (200, 40, 0)
    assert check_image(checked.data).data == checked.data


def test_the_limits_are_the_callers() -> None:
    data = encode(picture(), "PNG")
    assert reason_of(data, max_bytes=len(data)) == reason_of(data, max_pixels=16 * 16) == "kept"
    assert reason_of(data, max_bytes=len(data) - 1) == "too_large"
    assert reason_of(data, max_pixels=16 * 16 - 1) == "too_many_pixels"


@settings(max_examples=300)
@given(
    st.sampled_from(sorted(KEPT)),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4),
    st.integers(0, 3000),
)
def test_no_bytes_do_worse_than_to_be_refused(what: str, flips: list[tuple[int, int]], length: int) -> None:
    data = bytearray(KEPT[what][1]())
    for at, value in flips:
        data[at % len(data)] = value
    reason_of(bytes(data[: length or None]))


JPEGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "without subsampling": {"subsampling": 0},
    "of grey": {"mode": "L"},
    "for print": {"mode": "CMYK", "progressive": True},
    "with restarts": {"restart_marker_blocks": 3},
}


@pytest.mark.parametrize("what", JPEGS)
def test_a_jpeg_that_is_cut_or_damaged_anywhere_is_judged_as_by_decoding_all_its_pixels(what: str) -> None:
    options = {**JPEGS[what]}
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 256, (12, 20, 3), np.uint8)).resize((203, 117))
    jpeg = encode(noise.convert(options.pop("mode", "RGB")), "JPEG", quality=85, **options)
    damaged = [
        jpeg,
        *(jpeg[: len(jpeg) * percent // 100] for percent in range(1, 100)),
        jpeg[:-1],
        jpeg[:-2],
        jpeg[:-3],
    ]
    for at in random.integers(2, len(jpeg) - 30, 150).tolist():
        damaged += [jpeg[:at] + jpeg[at + 25 :], jpeg[:at] + b"\xff\xd9" + jpeg[at + 2 :]]
        damaged.append(jpeg[:at] + random.bytes(3) + jpeg[at + 3 :])
    verdicts = []
    for data in damaged:
        try:
            with Image.open(io.BytesIO(data)) as image:
                image.load()
            verdicts.append(image.format in {"JPEG", "MPO"})
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            verdicts.append(False)
    assert [is_taken(data) for data in damaged] == verdicts
    assert 20 < sum(verdicts) < len(damaged) - 90


def is_taken(data: bytes) -> bool:
    try:
        return check_image(data).data is data
    except BadImageError:
        return False


def test_threads_may_check_at_once_and_leave_the_warning_filters_alone() -> None:
    payloads = [KEPT[what][1]() for what in KEPT] * 8
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(reason_of, payloads)) == {"kept"}
    assert warnings.filters == before


@pytest.mark.parametrize("what", [what for what in BAD if "MB" in what or "bomb" in what or "million" in what])
def test_a_hostile_image_does_not_blow_the_memory(what: str, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(BAD[what][1]())
    program = (
        "import resource, sys; from pathlib import Path; from metaclip_dagster.imaging.checking import *\n"
        "data = Path(sys.argv[1]).read_bytes()\n"
        "import PIL.Image; PIL.Image.init()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: check_image(data)\n"
        "except BadImageError: pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    assert int(run_on(tmp_path / "bad", program)) < 20_000  # KiB


def run_on(file: Path, program: str) -> str:
    return subprocess.run([sys.executable, "-c", program, file], capture_output=True, text=True, check=True).stdout


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera that says so laid the upright picture down: what each orientation undoes."""


def upright_picture() -> Image.Image:
    """Of other looks from every side, and whose sides are no multiple of a JPEG's blocks."""
    red, green = Image.linear_gradient("L").resize((60, 44)), Image.radial_gradient("L").resize((60, 44))
    image = Image.merge("RGB", (red, green.crop((30, 22, 90, 66)), red.rotate(90).resize((60, 44))))
    image.paste("white", (5, 5, 25, 12))
    return image


def lay_down(orientation: int, kind: str, *, xmp: bool = False, **how: Any) -> bytes:
    image = upright_picture().convert(how.pop("mode", "RGB"))
    laid = image.transpose(TURNS[orientation]) if orientation in TURNS else image
    if xmp:
        return encode(laid, kind, xmp=f'<x tiff:Orientation="{orientation}"/>'.encode(), **how)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(laid, kind, exif=exif, **how)


LAID: dict[str, dict[str, Any]] = {
    "jpg": {"kind": "JPEG", "quality": 90},
    "jpg, colours whole": {"kind": "JPEG", "quality": 90, "subsampling": 0},
    "jpg, colours halved across": {"kind": "JPEG", "quality": 90, "subsampling": 1},
    "jpg in grey": {"kind": "JPEG", "quality": 90, "mode": "L"},
    "jpg in CMYK": {"kind": "JPEG", "quality": 90, "mode": "CMYK"},
    "jpg by XMP": {"kind": "JPEG", "quality": 90, "xmp": True},
    "png": {"kind": "PNG"},
    "png of a palette": {"kind": "PNG", "mode": "P"},
    "png with alpha": {"kind": "PNG", "mode": "RGBA"},
    "webp": {"kind": "WEBP", "quality": 90},
    "webp without loss": {"kind": "WEBP", "lossless": True},
}


LOSSY = {what for what in LAID if "jpg" in what or what == "webp"}


def rgb(data: bytes) -> Image.Image:
    """As a loader that turns nothing decodes it: webdataset's pilrgb, open_clip's transforms."""
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


def difference(image: Image.Image, other: Image.Image) -> float:
    assert image.size == other.size
    return max(ImageStat.Stat(ImageChops.difference(image, other)).mean)


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("what", LAID)
def test_a_picture_stands_upright_for_every_reader(what: str, orientation: int) -> None:
    data = lay_down(orientation, **LAID[what])
    checked = check_image(data)
    assert (checked.data is data) == (orientation not in TURNS)
    assert (checked.format, checked.width, checked.height) == (what[:4].strip(" ,"), 60, 44)
    laid = rgb(data)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    for seen in (rgb(checked.data), to_rgb(Image.open(io.BytesIO(checked.data)))):
        assert difference(seen, upright) < (4.5 if what in LOSSY else 0.01)
    # What a task or an older store holds is turned as it is decoded.
    for seen in (to_rgb(Image.open(io.BytesIO(data))), decode_image(Sample("a", data))):
        assert seen.tobytes() == upright.tobytes()
        assert perceptual_hash(seen) == perceptual_hash(upright)
    if orientation in TURNS:
        assert difference(laid.resize((60, 44)), upright) > 15, "the picture does not tell"
    assert check_image(checked.data).data is checked.data
    assert len(checked.data) < 1.5 * len(data) + 500


def test_a_turned_picture_on_nothing_lands_upright_on_white() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGBA", (20, 10), (200, 40, 0, 255))
    image.putpixel((0, 9), (0, 0, 0, 0))
    for kind in ("PNG", "WEBP"):
        checked = check_image(encode(image, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {})))
        assert (checked.width, checked.height) == (10, 20)
        assert rgb(checked.data).getpixel((0, 0)) == (255, 255, 255)
        assert rgb(checked.data).getpixel((9, 19)) == (200, 40, 0)


def large(kind: str, *, side: int = 3000, mode: str = "RGBA", **how: Any) -> bytes:
    """Millions of pixels with one that is transparent."""
    image = Image.radial_gradient("L").resize((side, side), Image.Resampling.NEAREST).convert(mode)
    if mode == "RGBA":
        image.putpixel((7, 7), (0, 0, 0, 0))
    return encode(image, kind, **how)


LARGE: dict[str, Make] = {
    "a lossy WebP": lambda: large("WEBP", side=5000, quality=20, method=0),
    "a lossless WebP": lambda: large("WEBP", lossless=True, quality=0, method=0),
    "a PNG": lambda: large("PNG", compress_level=1),
    "a PNG of a palette": lambda: large("PNG", mode="P", compress_level=1, transparency=0),
    "a JPEG on its side": lambda: large(
        "JPEG", mode="RGB", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0"
    ),
}


@pytest.mark.parametrize("what", LARGE)
def test_what_is_written_again_takes_bounded_memory_time_and_room(what: str, tmp_path: Path) -> None:
    data = LARGE[what]()
    (tmp_path / "large").write_bytes(data)
    program = (
        "import re, resource, sys; from pathlib import Path; from metaclip_dagster.imaging.checking import *\n"
        "from PIL import Image; Image.init()\n"  # 5 MB and more, which are no image's
        "data = Path(sys.argv[1]).read_bytes()\n"
        "memory = lambda: int(re.search('VmHWM:[^0-9]*([0-9]+)', Path('/proc/self/status').read_text())[1])\n"
        "before = int(re.search('VmRSS:[^0-9]*([0-9]+)', Path('/proc/self/status').read_text())[1])\n"
        "made = check_image(data)\n"
        "peak = memory() - before\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(peak, used.ru_utime + used.ru_stime, len(made.data), made.width * made.height, made.data != data)"
    )
    kib, seconds, size, pixels, is_made = run_on(tmp_path / "large", program).split()
    assert is_made == "True"
    assert int(kib) << 10 < (10 << 20) + 16 * int(pixels)
    assert float(seconds) < 10  # of the processor; some 2 where it is idle
    assert int(size) < 3 * len(data)


def test_what_grows_beyond_the_bound_as_it_is_written_again_is_too_large() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    data = encode(Image.fromarray(noise), "PNG", transparency=3)  # grey, and in colour on white
    assert reason_of(data, max_bytes=5 * len(data) // 4) == "too_large"
    assert reason_of(data, max_bytes=4 * len(data)) == "kept"
