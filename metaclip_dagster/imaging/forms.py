"""Say what form a store keeps its images in, and give an image that form: smaller, in sRGB, as JPEG or WebP."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Form:
    """What stored images are made to be. Those that are so already stay byte for byte."""

    shorter_side: int
    """Pixels that the shorter side has at most; the other keeps its proportion, and nothing is made larger."""
    format: str = "jpg"
    """jpg or webp."""
    quality: int = 95

    @classmethod
    def parse(cls, text: str) -> "Form | None":
        """The form of a text such as `256,webp,80`; None of an empty one: images are stored as they came.

        >>> Form.parse("256,webp,80")
        Form(shorter_side=256, format='webp', quality=80)
        """
        if not text:
            return None
        shorter_side, image_format, quality = text.split(",")
        return cls(int(shorter_side), image_format, int(quality))

    def size_of(self, width: int, height: int) -> tuple[int, int]:
        """Pixels across and down of an image of this size, as it is stored.

        >>> Form(256).size_of(1024, 768), Form(256).size_of(300, 200)
        ((341, 256), (300, 200))
        """
        scale = min(1.0, self.shorter_side / min(width, height))
        return round(width * scale), round(height * scale)

    def holds(self, width: int, height: int) -> bool:
        """Whether the format can hold an image of this size, as it is stored: the longer side of a panorama may not."""
        return max(self.size_of(width, height)) <= _MAX_SIDES[self.format]

    def fits(self, image: "Image.Image", kind: str) -> bool:
        """Whether an upright and opaque image of this format need not be written again."""
        return (
            kind == self.format
            and self.size_of(*image.size) == image.size
            and image.mode != "CMYK"
            and _is_srgb(image.info.get("icc_profile"))
        )

    def encode(self, image: "Image.Image", size: tuple[int, int]) -> tuple[bytes, tuple[int, int]]:
        """The bytes in this form of a loaded image, upright and opaque, and pixels across and down of these.

        `size` is what it came with: it may have been decoded to fewer pixels, but to no fewer than are stored.
        """
        from PIL import Image  # noqa: PLC0415  # what reads the graph must not load it

        profile, stored_size = image.info.get("icc_profile"), self.size_of(*size)
        picture = image if image.mode in _SAMPLED else image.convert("RGB")
        if picture.size != stored_size:
            picture = picture.resize(stored_size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        picture = _to_srgb(picture, profile)
        options: dict[str, Any] = {"quality": self.quality}
        if self.format == "webp":
            options["method"] = 4 if picture.width * picture.height <= _MAX_SLOW_PIXELS else 0
        file = io.BytesIO()
        picture.save(file, "JPEG" if self.format == "jpg" else "WEBP", icc_profile=None, exif=b"", **options)
        return file.getvalue(), stored_size


_MAX_SIDES = {"jpg": 65_500, "webp": 16_383}
"""Pixels that libjpeg and libwebp write at most."""
_SAMPLED = {"L", "RGB", "CMYK"}
"""Modes whose numbers can be averaged, and that a profile speaks of."""
_MAX_SLOW_PIXELS = 1_000_000


def _is_srgb(profile: bytes | None) -> bool:
    """Whether colours are sRGB, as without a profile. One that cannot be read says nothing, as in browsers."""
    if not profile:
        return True
    from PIL import ImageCms  # noqa: PLC0415

    try:
        return "sRGB" in ImageCms.getProfileDescription(io.BytesIO(profile))
    except ImageCms.PyCMSError:
        return True


def _to_srgb(picture: "Image.Image", profile: bytes | None) -> "Image.Image":
    if not _is_srgb(profile):
        from PIL import ImageCms  # noqa: PLC0415

        try:
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile or b"")), ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):  # it is of another kind of picture, grey for one in colours
            converted = None
        if converted is not None:
            return converted
    return picture.convert("RGB")
