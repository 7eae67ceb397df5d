"""The designers' packages -> small WebP drawings by hexcode, one size and one background for all."""

import io
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import resvg_py
from PIL import Image

from data.builder.names import normalise_hexcode
from data.builder.packages import read_members

SIZE = 48
QUALITY = 80
_FOLDERS = {
    "noto": ("package/img/google/64/", ".png"),
    "twemoji": ("package/img/twitter/64/", ".png"),
    "fluent": ("package/assets/", ".webp"),
    "openmoji": ("package/color/svg/", ".svg"),
}


def draw_all(packages: dict[str, Path], hexcodes: set[str]) -> dict[str, dict[str, bytes]]:
    """Each designer's drawings of the emoji named, as WebP."""
    with ProcessPoolExecutor() as pool:
        drawings = {}
        for designer, (folder, suffix) in _FOLDERS.items():
            files = read_members(packages[designer], folder, suffix)
            named = {normalise_hexcode(name.removesuffix(suffix)): name for name in sorted(files)}
            wanted = sorted(named.keys() & hexcodes)
            images = pool.map(shrink, (files[named[hexcode]] for hexcode in wanted), chunksize=64)
            drawings[designer] = dict(zip(wanted, images, strict=True))
    return drawings


def shrink(file: bytes) -> bytes:
    """A drawing on white (transparent pixels would turn black later) at SIZE; a vector is drawn at twice that first."""
    if file.lstrip().startswith(b"<"):
        file = resvg_py.svg_to_bytes(svg_string=file.decode(), width=2 * SIZE, height=2 * SIZE, skip_system_fonts=True)
    drawing = Image.open(io.BytesIO(file)).convert("RGBA")
    flat = Image.new("RGBA", drawing.size, "white")
    flat.alpha_composite(drawing)
    out = io.BytesIO()
    flat.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS).save(out, "WEBP", quality=QUALITY, method=6)
    return out.getvalue()
