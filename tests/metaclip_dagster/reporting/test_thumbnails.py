"""Laws of thumbnails: small, upright pictures of ours, of whatever can be read, and no byte of what came."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from metaclip_dagster.reporting.html.pages import _environment
from metaclip_dagster.reporting.html.thumbnails import MOST_BYTES, Picture, make_thumbnail


def encode(image: Image.Image, kind: str = "jpeg", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("size", [(300, 200), (20, 900), (5, 5)])
def test_a_thumbnail_is_a_jpeg_within_its_side(kind: str, size: tuple[int, int]) -> None:
    thumbnail = make_thumbnail(encode(Image.new("RGB", size, "red"), kind), side=96)
    assert thumbnail is not None
    with Image.open(io.BytesIO(thumbnail)) as image:
        assert image.format == "JPEG"
        assert max(image.size) <= 96
        assert np.abs(np.asarray(image, int) - [254, 0, 0]).max() < 12


@pytest.mark.parametrize("size", [24, 48, 96, 200])
@pytest.mark.parametrize("values", [2, 256])
def test_no_picture_is_too_noisy_for_its_bytes(size: int, values: int) -> None:
    noise = np.random.default_rng(0).integers(0, values, (size, size, 3)) * (255 // (values - 1))
    thumbnail = make_thumbnail(encode(Image.fromarray(noise.astype(np.uint8)).resize((384, 384)), "png"))
    assert thumbnail is not None
    assert len(thumbnail) <= MOST_BYTES


def test_nothing_but_pixels_of_the_picture_gets_into_its_thumbnail() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("page.html", "<script>alert(1)</script>")
    exif = Image.Exif()
    exif[0x010E] = "<script>alert(2)</script>"
    behind = b"<html><script>alert(3)</script>" + archive.getvalue()
    for kind in ("jpeg", "webp"):
        data = encode(Image.new("RGB", (64, 64)), kind, exif=exif, comment=b"alert(4)", icc_profile=b"alert(5)" * 40)
        thumbnail = make_thumbnail(data + behind)
        assert thumbnail is not None
        for foreign in (b"script", b"alert", b"PK\x03\x04", b"Exif", b"ICC"):
            assert foreign not in thumbnail


def test_what_is_turned_or_transparent_comes_upright_and_on_white() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = make_thumbnail(encode(Image.new("RGB", (90, 30)), exif=exif))
    clear = make_thumbnail(encode(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "png"))
    assert turned is not None
    assert clear is not None
    with Image.open(io.BytesIO(turned)) as image:
        assert image.size == (30, 90)
    with Image.open(io.BytesIO(clear)) as image:
        assert image.getpixel((4, 4)) == (255, 255, 255)


def test_what_cannot_be_read_or_is_too_large_has_no_thumbnail() -> None:
    whole = encode(Image.effect_noise((200, 200), 80).convert("RGB"))
    bomb = encode(Image.new("1", (6000, 6000)), "png")
    for data in (
        b"",
        b"\0" * 500,
        b"<svg/>",
        whole[:40],
        whole[: len(whole) // 2],
        bomb,
        encode(Image.new("P", (9, 9)), "gif"),
    ):
        assert make_thumbnail(data) is None
    assert make_thumbnail(whole.replace(b"\xff\xd9", b"\xff\xda" * 200 + b"\xff\xd9")) is None


def test_a_gallery_shows_texts_as_texts_and_bytes_only_where_they_may_be_seen() -> None:
    hostile = Picture(
        "0" * 24, "https://a.example/?<script>", "<script>alert(1)</script>\u202e" + "x" * 1_000_000, b"jpg", 0.93
    )
    gallery = getattr(_environment().get_template("html/macros.html").module, "gallery")  # noqa: B009  # made by Jinja
    for mode, has_bytes in (("shown", True), ("blurred", True), ("off", False)):
        html = str(gallery([hostile, Picture("1" * 24, text="b", note="timeout")], mode))
        assert ("base64,anBn" in html) is has_bytes
        assert ("<script" in html, "\u202e" in html, len(html) < 3000) == (False, False, True)
        assert "no picture" in html
        assert "0.93" in html


def test_a_jpeg_of_more_scans_than_anybody_decodes_has_no_thumbnail() -> None:
    picture = encode(Image.new("RGB", (64, 64)))
    assert make_thumbnail(picture + b"\xff\xda" * 90) is not None
    assert make_thumbnail(picture + b"\xff\xda" * 200) is None
