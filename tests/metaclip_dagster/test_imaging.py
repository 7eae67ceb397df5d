"""An image is taken as it came or refused with a reason, and a ring fetches what the store lacks, once."""

import hashlib
import io
import pickle
import resource
import struct
import subprocess
import sys
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from metaclip_dagster.imaging import BadImageError, check_image, gather_images
from metaclip_dagster.schemas import IMAGE_TEXTS, IMAGES
from resources.image_store import ImageStore

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
    "a GIF": ("unsupported_format", lambda: encode(picture("P"), "GIF")),
    "an animated GIF": ("unsupported_format", lambda: animated("GIF")),
    "a bitmap": ("unsupported_format", lambda: encode(picture(), "BMP")),
    "a TIFF": ("unsupported_format", lambda: encode(picture(), "TIFF")),
    "an AVIF": ("unsupported_format", lambda: encode(picture(), "AVIF")),
    "an icon": ("unsupported_format", lambda: encode(picture(), "ICO")),
    "a drawing": ("unsupported_format", lambda: b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>'),
    "PostScript": ("unsupported_format", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
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
    assert told(make()) == reason


def told(data: bytes, **options: Any) -> str:
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
    assert told(data, max_bytes=len(data)) == told(data, max_pixels=16 * 16) == "kept"
    assert told(data, max_bytes=len(data) - 1) == "too_large"
    assert told(data, max_pixels=16 * 16 - 1) == "too_many_pixels"


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
    told(bytes(data[: length or None]))


def test_threads_may_check_at_once_and_leave_the_warning_filters_alone() -> None:
    payloads = [KEPT[what][1]() for what in KEPT] * 8
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(told, payloads)) == {"kept"}
    assert warnings.filters == before


@pytest.mark.parametrize("what", [what for what in BAD if "MB" in what or "bomb" in what or "million" in what])
def test_a_hostile_image_does_not_blow_the_memory(what: str, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(BAD[what][1]())
    program = (
        "import resource, sys; from pathlib import Path; from metaclip_dagster.imaging import *\n"
        "data = Path(sys.argv[1]).read_bytes()\n"
        "import PIL.Image; PIL.Image.init()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: check_image(data)\n"
        "except BadImageError: pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    ran = subprocess.run([sys.executable, "-c", program, tmp_path / "bad"], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 20_000  # KiB


def texts_of(*texts: tuple[int, str, float]) -> pa.RecordBatch:
    """IMAGE_TEXTS of (number of the image, language, admitted_at)."""
    columns = {
        "bucket": [0] * len(texts),
        "image_id": [image_id(number) for number, _, _ in texts],
        "url": [url(number) for number, _, _ in texts],
        "pair_id": range(len(texts)),
        "text": ["text"] * len(texts),
        "language": [language for _, language, _ in texts],
        "entry_ids": [[0]] * len(texts),
        "admitted_at": [at for _, _, at in texts],
        "pool_address": [None] * len(texts),
    }
    return pa.RecordBatch.from_pydict(columns, schema=IMAGE_TEXTS)


def url(number: int) -> str:
    return f"http://images.example/{number}"


def image_id(number: int) -> str:
    return hashlib.sha224(url(number).encode()).hexdigest()[:24]


class Host:
    """Every fifth image is missing, every seventh broken; the others are of one colour for each number modulo 4."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_well = False

    def __call__(self, urls: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
        for url in reversed(urls):
            self.asked.append(url)
            number = int(url.rsplit("/", 1)[1])
            if number % 5 == 0 and not self.is_well:
                yield url, "not_found"
            elif number % 7 == 0:
                yield url, b"broken"
            else:
                yield url, encode(Image.new("RGBA", (8, 8), (number % 4 * 60, 0, 0, 200)), "PNG")


def gather(
    store: ImageStore, host: Host, texts: Sequence[pa.RecordBatch], below: Mapping[str, float] | None = None
) -> tuple[pa.Table, Counter[str], Counter[str]]:
    dropped: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    batches = gather_images(
        texts, store=store, fetch=host, bucket=0, thresholds_below=below or {}, dropped=dropped, seen=seen
    )
    return pa.Table.from_batches(batches, IMAGES), dropped, seen


TEXTS = st.lists(st.tuples(st.sampled_from(["en", "de"]), st.floats(0, 50)), min_size=1, max_size=3)


@settings(max_examples=15)
@given(
    st.dictionaries(st.integers(0, 40), TEXTS, max_size=30),
    st.lists(st.floats(0, 60), min_size=1, max_size=3, unique=True),
    st.integers(1, 20),
)
def test_the_rings_of_nested_subsets_hold_each_image_once_and_fetch_it_once(
    tmp_path_factory: pytest.TempPathFactory,
    images: dict[int, list[tuple[str, float]]],
    rungs: list[float],
    segment: int,
) -> None:
    host, store = Host(), ImageStore(tmp_path_factory.mktemp("store"), segment_images=segment)
    pairs = [(number, language, at) for number, texts in images.items() for language, at in texts]
    below: dict[str, float] = {}
    gathered: list[str] = []
    for t in sorted(rungs):
        mine = {"en": t, "de": t / 2}
        kept = [pair for pair in pairs if pair[2] < mine[pair[1]]]
        rows, dropped, seen = gather(store, host, [texts_of(pair) for pair in kept], below)
        gathered += rows["image_id"].to_pylist()
        assert rows["image_id"].to_pylist() == sorted(rows["image_id"].to_pylist())
        assert sorted(gathered) == sorted({image_id(number) for number, _, _ in kept})
        assert seen["images"] == seen["fetched"] == rows.num_rows
        assert seen["held"] == 0
        assert sum(dropped.values()) == rows.num_rows - len(rows["tar"].drop_null())
        below = mine
    assert Counter(host.asked) == Counter(url(number) for number in images if image_id(number) in gathered)


def test_a_rerun_tells_the_same_and_fetches_nothing(tmp_path: Path) -> None:
    host, store = Host(), ImageStore(tmp_path, segment_images=7)
    texts = [texts_of(*((number, "en", 1.0) for number in range(40)))]
    first = gather(store, host, texts)
    again = gather(store, host, texts)
    assert again[:2] == first[:2]
    assert first[1] == {"not_found": 8, "not_an_image": 4}
    assert first[2] == {"images": 40, "fetched": 40, "held": 0}
    assert again[2] == {"images": 40, "fetched": 0, "held": 40}
    assert len(host.asked) == 40


def test_an_inserted_rung_fetches_nothing(tmp_path: Path) -> None:
    host, store = Host(), ImageStore(tmp_path, segment_images=7)
    pairs = [(number, "en", float(number)) for number in range(40)]
    small, middle, large = ([texts_of(*(pair for pair in pairs if pair[2] < t))] for t in (10.0, 20.0, 50.0))
    gather(store, host, small)
    gather(store, host, large, {"en": 10.0})
    rows, _, seen = gather(store, host, middle, {"en": 10.0})
    assert len(host.asked) == 40
    assert seen == {"images": 10, "fetched": 0, "held": 10}
    assert set(rows["image_id"].to_pylist()) == {image_id(number) for number in range(10, 20)}


def test_failures_alone_are_retried_and_each_once(tmp_path: Path) -> None:
    host, texts = Host(), [texts_of(*((number, "en", 1.0) for number in range(40)))]
    before, _, _ = gather(ImageStore(tmp_path, segment_images=7), host, texts)
    host.asked.clear()
    host.is_well = True
    after, dropped, seen = gather(ImageStore(tmp_path, retry_failed=True, segment_images=5), host, texts)
    failed = [number for number in range(40) if number % 5 == 0 or number % 7 == 0]
    assert sorted(host.asked) == sorted(map(url, failed))
    assert dropped == {"not_an_image": 6}  # 0 and 35 were not found before
    assert seen == {"images": 40, "fetched": 12, "held": 28}
    assert after.filter(pa.compute.is_valid(before["tar"])) == before.filter(pa.compute.is_valid(before["tar"]))


def test_what_many_urls_share_is_stored_under_each_with_its_own_bytes(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    rows, _, _ = gather(store, Host(), [texts_of(*((number, "en", 1.0) for number in range(1, 5)))])
    images = rows.to_pylist()
    assert len({row["sha256"] for row in images}) == 4
    for row in images:
        data = store.read(row["tar"], row["offset"], row["size"])
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        assert check_image(data).data == data
        with Image.open(io.BytesIO(data)) as image:
            assert (image.width, image.height, image.mode) == (row["width"], row["height"], "RGB")


def test_a_payload_that_many_urls_share_is_checked_once(tmp_path: Path) -> None:
    data = encode(Image.new("RGBA", (2000, 2000), (1, 2, 3, 4)), "PNG")

    def fetch(urls: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
        return ((url, data[:-12] if url.endswith("0") else data) for url in urls)

    spent = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    check_image(data)
    one = resource.getrusage(resource.RUSAGE_SELF).ru_utime - spent
    seen: Counter[str] = Counter()
    texts = [texts_of(*((number, "en", 1.0) for number in range(200)))]
    options: dict[str, Any] = {"bucket": 0, "thresholds_below": {}, "dropped": Counter(), "seen": seen}
    list(gather_images(texts, store=ImageStore(tmp_path), fetch=fetch, **options))
    assert seen["fetched"] == 200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - spent < 50 * one


def test_a_host_that_leaves_urls_unanswered_writes_nothing(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    options: dict[str, Any] = {"bucket": 0, "thresholds_below": {}, "dropped": Counter(), "seen": Counter()}
    with pytest.raises(ValueError, match="1 of 1 URLs unanswered"):
        list(gather_images([texts_of((1, "en", 1.0))], store=store, fetch=lambda urls: iter(()), **options))
    with store.bucket(0, IMAGES) as bucket:
        assert bucket.index().num_rows == 0
