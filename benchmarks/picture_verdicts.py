"""Print what the image store's door makes of every file of a folder, as a table of docs/operations.md has it.

python -m benchmarks.picture_verdicts FOLDER

FOLDER  such as `Tests/images` of a checkout of Pillow, whose files are made to be odd.
"""

import argparse
import io
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from metaclip_dagster.imaging.checking import BadImageError, check_image
from metaclip_dagster.pictures import flatten, make_upright

MOST_NAMED, MOST_FORMATS = 8, 12
KEPT = ("stored as it came", "written again upright", "written again on white", "written again upright, on white")
NOT_AN_IMAGE = "not_an_image"
WHY = {
    KEPT[0]: "opaque and upright: no loader sees anything else in it",
    KEPT[1]: "its EXIF or XMP says to turn it, and many loaders do not",
    KEPT[2]: "transparent, and loaders drop alpha",
    KEPT[3]: "both",
    "unsupported_format_...": "JPEG, PNG and WebP are opened, and nothing else",
    NOT_AN_IMAGE: "no image, or one of a format that no reason names",
    "animated": "several frames",
    "too_small": "a side below 4 pixels",
    "undecodable": "cut short, or broken inside",
    "unsupported_mode": "16 bits or floats in one channel, which no two loaders scale alike",
}
SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".mpo": "MPO", ".png": "PNG", ".apng": "PNG", ".webp": "WEBP"}
"""Of the formats that are opened."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    print(tell((path.name, path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()))


def tell(files: Iterable[tuple[str, bytes]]) -> str:
    """A table as Markdown, of files by name and bytes: what becomes of how many, of which formats, and why.

    A file is of the format that its bytes have, or, where these are none that is opened, of that of its name. Named are
    the files of small groups, and those whose name says another format.
    """
    formats: dict[str, Counter[str]] = defaultdict(Counter)
    names: dict[str, list[str]] = defaultdict(list)
    odd: dict[str, set[str]] = defaultdict(set)
    for name, data in files:
        verdict, image_format = _judge(data)
        suffix = Path(name).suffix.lower()
        formats[verdict][image_format or suffix[1:].upper() or "without suffix"] += 1
        names[verdict].append(name)
        if (verdict in KEPT and SUFFIXES.get(suffix) != image_format) or (
            verdict == NOT_AN_IMAGE and suffix in SUFFIXES
        ):
            odd[verdict].add(name)
    lines = ["| what becomes of it | files | why | formats | named |", "| --- | ---: | --- | --- | --- |"]
    for verdict in sorted(names, key=lambda verdict: (verdict not in KEPT, -len(names[verdict]), verdict)):
        named = odd[verdict] if len(names[verdict]) > MOST_NAMED else set(names[verdict])
        shown = verdict if verdict in KEPT else f"`{verdict}`"
        listed = ", ".join(f"`{name}`" for name in sorted(named))
        why = WHY.get(verdict, "")
        lines.append(f"| {shown} | {len(names[verdict])} | {why} | {_list_formats(formats[verdict])} | {listed} |")
    return "\n".join(lines)


def _list_formats(counts: Counter[str]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ordered[MOST_FORMATS:])
    shown = [f"{count} {image_format}" for image_format, count in ordered[:MOST_FORMATS]]
    return ", ".join([*shown, *([f"{rest} others"] if rest else [])])


def _judge(data: bytes) -> tuple[str, str]:
    """What becomes of the bytes, and their format; that is empty where it is none of those that are opened."""
    try:
        checked = check_image(data)
    except BadImageError as bad:
        reason, is_known, image_format = str(bad).partition("unsupported_format_")
        return (f"{is_known}...", image_format.upper()) if is_known else (reason, "")
    with Image.open(io.BytesIO(data)) as image:
        image_format = str(image.format)
        if checked.data == data:
            return KEPT[0], image_format
        image.load()
        is_turned, is_transparent = make_upright(image), flatten(image) is not None
    return KEPT[is_turned + 2 * is_transparent], image_format


if __name__ == "__main__":
    main()
