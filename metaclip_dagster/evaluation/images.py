"""Read a task's test images one after the other, each with its class, its captions or its question."""

import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from metaclip_dagster.evaluation.tasks import CAPTIONS, Task, list_class_folders, list_tars
from metaclip_dagster.evaluation.texts import Captions, Question, read_captions, read_xm3600, to_captions, to_question
from metaclip_dagster.evaluation.wordings import list_language_folders
from metaclip_dagster.pictures import MAX_SCANS, has_too_many_scans, to_rgb
from metaclip_dagster.schemas import named

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = ("jpg", "jpeg", "png", "webp", "bmp", "gif")
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
MAX_BYTES = 64 << 20
MAX_PIXELS = 89_478_485  # where Pillow begins to warn

# A sample's key and its member's suffix, as webdataset splits them: at the first point of the file's own name.
_MEMBER = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)")


@dataclass(frozen=True)
class Sample:
    """An encoded image with its class, its captions by language, or its question."""

    name: str
    image: bytes
    class_id: int = -1
    captions: Captions = field(default_factory=dict)
    question: Question | None = None


@named("evaluation.images:read_samples")
def read_samples(task: Task) -> Iterator[Sample]:
    """Every test image in the folder's own order, one held at a time.

    Nothing is left out, for a score over fewer images compares with no other: what cannot be read raises ValueError
    that names it.
    """
    if task.tars:
        yield from _read_tars(task)
        return
    if task.kind == "retrieval":
        for key, captions in read_xm3600(task.folder / CAPTIONS):
            path = task.folder / "images" / f"{key}.jpg"
            if not path.is_file():
                raise ValueError(f"{path}: is missing, and {CAPTIONS} has captions of it; fetch it, or drop its line")
            _check_size(str(path), path.stat().st_size)
            yield Sample(str(path), path.read_bytes(), captions=captions)
        return
    for class_id, folder in enumerate(list_class_folders(task.folder)):
        for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
            if not path.is_file() or path.suffix[1:].lower() not in SUFFIXES:
                raise ValueError(f"{path}: is not one of {', '.join(SUFFIXES)}; a class's folder holds its images only")
            _check_size(str(path), path.stat().st_size)
            yield Sample(str(path), path.read_bytes(), class_id)


@named("evaluation.images:decode_image")
def decode_image(sample: Sample) -> "Image.Image":
    """Decode in RGB, upright and on white, as images are made for training."""
    try:
        return decode_bytes(sample.image)
    except Exception as error:  # a decoder raises whatever it meets in a broken file
        raise ValueError(
            f"{sample.name}: its image cannot be read ({error}); only {', '.join(FORMATS)} are, and a test set is "
            "scored whole or not at all: fetch it again, or convert it"
        ) from error


def decode_bytes(image: bytes) -> "Image.Image":
    """Decode an image's first frame; raises whatever a decoder meets in a broken file, or ValueError for its size."""
    from PIL import Image  # noqa: PLC0415  # only scoring pays for it

    if has_too_many_scans(image):
        raise ValueError(f"a JPEG of more than {MAX_SCANS} scans, which can take hours to decode")
    opened = Image.open(io.BytesIO(image), formats=FORMATS)
    width, height = opened.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels, and at most {MAX_PIXELS:,} are decoded")
    return to_rgb(opened)


def _read_tar(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    key, files = "", dict[str, bytes]()
    for name, content in _read_members(path):
        named = _MEMBER.fullmatch(name)
        if named is None:
            continue
        if named[1] != key:
            if key:
                yield key, files
            key, files = named[1], {}
        suffix = named[2].lower()
        if suffix in files:
            raise ValueError(f"{path}: {name}: occurs twice; write the tar anew, each key once")
        files[suffix] = content
    if key:
        yield key, files


def _read_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Regular files, read in memory; nothing is extracted."""
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if member.isdir():
                    continue
                if not member.isreg():
                    raise ValueError(f"{path}: {member.name}: is a link or a device; write the tar anew, files only")
                _check_size(f"{path}: {member.name}", member.size)
                content = tar.extractfile(member)
                assert content is not None  # it is a regular file
                yield member.name, content.read()
            # tarfile ends in silence where a header is damaged or missing; a whole tar ends in a block of zeros.
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(f"it is cut off or damaged at byte {tar.offset:,}")
    except tarfile.TarError as error:
        raise ValueError(f"{path}: is no whole, uncompressed tar ({error}); fetch it again") from error


def _read_tars(task: Task) -> Iterator[Sample]:
    """Samples of the task's tars; of retrieval with the captions that exports in further languages have by its keys."""
    translated: dict[str, dict[str, tuple[str, ...]]] = {}
    for language, folder in list_language_folders(task.folder).items() if task.kind == "retrieval" else ():
        of_tars = ((f"{tar}: {key}", key, files) for tar in list_tars(folder) for key, files in _read_tar(tar))
        translated[language] = read_captions(folder, of_tars)
    for tar in task.tars:
        for key, files in _read_tar(tar):
            of_key = {language: captions.pop(key) for language, captions in translated.items() if key in captions}
            yield _to_sample(task, f"{tar}: {key}", files, of_key)
    for language, captions in translated.items():
        if captions:
            raise ValueError(
                f"{task.folder}: the captions in {language} are of images that the task lacks, such as "
                f"{next(iter(captions))!r}; export both with the same keys"
            )


def _to_sample(task: Task, name: str, files: dict[str, bytes], translated: Captions) -> Sample:
    images = [content for suffix, content in files.items() if suffix in SUFFIXES]
    if len(images) != 1:
        raise ValueError(f"{name}: has {len(images)} images, and a sample has one of {', '.join(SUFFIXES)}")
    if task.kind == "retrieval":
        return Sample(name, images[0], captions={task.language: to_captions(name, files), **translated})
    if task.kind == "multiple choice":
        return Sample(name, images[0], question=to_question(f"{name}.json", files.get("json", b"")))
    label = files.get("cls", b"").decode(errors="replace").strip()
    number = int(label) if re.fullmatch("[0-9]{1,9}", label) else -1
    if not 0 <= number < len(task.class_names):
        raise ValueError(
            f"{name}.cls: {label[:80]!r} is no class; classnames.txt has the classes 0 to {len(task.class_names) - 1}"
        )
    return Sample(name, images[0], number)


def _check_size(where: str, size: int) -> None:
    if size > MAX_BYTES:
        raise ValueError(f"{where}: has {size:,} bytes, and at most {MAX_BYTES:,} are read; is it an image?")
