"""An image is stored in the form that was asked for: not larger, upright, on white, in sRGB, of one format."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from metaclip_dagster.imaging.checking import BadImageError, check_image
from metaclip_dagster.imaging.forms import Form
from metaclip_dagster.pictures import to_rgb
from tests.metaclip_dagster.imaging.test_checking import encode

SIDES = st.integers(4, 700)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# Its red is our green, and the reverse.
SWAPPED = (
    SRGB.replace(b"rXYZ", b"----", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"----", b"gXYZ", 1)
    .replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
)  # fmt: skip


def photo(width: int, height: int, mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def colour(image: Image.Image, x: int, y: int) -> list[int]:
    return [int(value) for value in np.asarray(image)[y, x]]


@settings(max_examples=60)
@given(SIDES, SIDES, st.integers(4, 400), st.sampled_from(["JPEG", "PNG", "WEBP"]), st.sampled_from(["jpg", "webp"]))
def test_the_shorter_side_is_as_asked_nothing_grows_and_proportions_stay(
    width: int, height: int, side: int, kind: str, image_format: str
) -> None:
    data = encode(photo(width, height), kind)
    stored = check_image(data, form=Form(side, image_format, 80))
    assert opened(stored.data).size == (stored.width, stored.height)
    assert min(stored.width, stored.height) == min(side, width, height)
    assert (stored.fetched_width, stored.fetched_height) == (width, height)
    scale = min(stored.width, stored.height) / min(width, height)
    assert max(stored.width, stored.height) == pytest.approx(max(width, height) * scale, abs=0.51)
    assert stored.format == image_format
    is_smaller = min(width, height) > side
    assert (stored.data is data) == (not is_smaller and {"JPEG": "jpg", "WEBP": "webp"}.get(kind) == image_format)


@pytest.mark.parametrize("size", [(512, 512), (1100, 700), (530, 1900), (300, 260)])
def test_a_jpeg_that_is_decoded_small_looks_as_one_that_is_decoded_whole(size: tuple[int, int]) -> None:
    image = photo(*size)
    stored = check_image(encode(image, "JPEG", quality=95), form=Form(256))
    whole = image.resize((stored.width, stored.height), Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(opened(stored.data), float) - np.asarray(whole, float)).mean() < 2


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_kind_of_picture_becomes_rgb_as_it_looks(mode: str) -> None:
    image = photo(90, 60, mode)
    stored = check_image(encode(image, "PNG"), form=Form(60))
    assert (opened(stored.data).mode, opened(stored.data).format) == ("RGB", "JPEG")
    difference = np.asarray(opened(stored.data), float) - np.asarray(to_rgb(image), float)
    assert np.abs(difference).mean() < (20 if mode in {"1", "P"} else 6)  # both are dithered


@pytest.mark.parametrize("image_format", ["jpg", "webp"])
def test_what_is_turned_or_transparent_is_stored_upright_on_white(image_format: str) -> None:
    image = Image.new("RGBA", (80, 40), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = check_image(encode(image, "PNG", exif=exif), form=Form(20, image_format))
    assert (stored.width, stored.height, stored.fetched_width, stored.fetched_height) == (20, 40, 40, 80)
    pixels = opened(stored.data)
    assert not pixels.getexif()
    for y, expected in ((10, (255, 0, 0)), (30, (255, 255, 255))):
        assert np.abs(np.subtract(colour(pixels, 10, y), expected)).max() < 12
    turned = encode(photo(80, 40), "JPEG", exif=exif)
    stored = check_image(turned, form=Form(200))
    assert (stored.width, stored.height, stored.data != turned) == (40, 80, True)


@pytest.mark.parametrize("options", [{"kind": "JPEG", "quality": 95}, {"kind": "WEBP", "lossless": True}])
def test_colours_of_another_profile_become_those_of_srgb(options: dict[str, Any]) -> None:
    green = encode(Image.new("RGB", (40, 30), (250, 20, 20)), icc_profile=SWAPPED, **options)
    for side in (30, 15):
        stored = opened(check_image(green, form=Form(side)).data)
        red, as_green, _ = colour(stored, 5, 5)
        assert (red < 60, as_green > 200) == (True, True)
        assert "icc_profile" not in stored.info
    assert check_image(green).data is green


def test_a_picture_whose_profile_is_srgb_or_broken_or_not_its_own_is_taken_for_srgb() -> None:
    for profile in (SRGB, b"broken", SWAPPED[:200], SWAPPED.replace(b"RGB XYZ", b"GRAYXYZ", 1)):
        jpeg = encode(Image.new("RGB", (40, 30), (250, 20, 20)), "JPEG", icc_profile=profile)
        red, green, _ = colour(opened(check_image(jpeg, form=Form(15)).data), 5, 5)
        assert (red > 240, green < 30) == (True, True)
    small = encode(photo(40, 30), "JPEG", icc_profile=SRGB)
    assert check_image(small, form=Form(30)).data is small


def test_ink_becomes_light() -> None:
    stored = opened(check_image(encode(photo(60, 40, "CMYK"), "JPEG", quality=95), form=Form(60)).data)
    assert stored.mode == "RGB"
    assert np.abs(np.asarray(stored, float) - np.asarray(photo(60, 40, "CMYK").convert("RGB"), float)).mean() < 8


def test_a_panorama_that_the_format_cannot_hold_is_too_large_and_no_broken_image() -> None:
    panorama = encode(Image.new("RGB", (16_400, 20)), "PNG")
    with pytest.raises(BadImageError, match="too_large"):
        check_image(panorama, form=Form(256, "webp"))
    for form in (Form(256), Form(16, "webp")):
        stored = check_image(panorama, form=form)
        assert opened(stored.data).size == form.size_of(16_400, 20)
