"""Read WebDataset samples, the members of a tar or the files of a folder, into rows."""

import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import groupby
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import quote

from resources.pools.rows import MAX_TEXT, Names, Row, pool_address


def read_tar(file: BinaryIO, path: str, names: Names, pool: str) -> Iterator[Row | str]:
    """A row a sample, or why it is none: `sparse`, `too_large` for a text, `bad_json`.

    Raises tarfile.TarError where the tar breaks off or is broken inside.
    """
    with tarfile.open(fileobj=file, mode="r:") as tar:
        yield from _read_samples(_members_of_tar(tar), path, names, pool)


def read_folder(filesystem: Any, path: str, names: Names, pool: str) -> Iterator[Row | str]:
    """A row a sample of the files that lie in the folder itself, or why it is none: `link` and those of a tar."""
    yield from _read_samples(_members_of_folder(filesystem, path), path, names, pool)


class _Member(NamedTuple):
    name: str
    where: str
    """What the image's address has of it."""
    size: int
    read: Callable[[], bytes]
    fault: str = ""
    """Why its bytes are not to be had."""


_IMAGES = frozenset(("jpg", "jpeg", "png", "webp"))


def _members_of_tar(tar: tarfile.TarFile) -> Iterator[_Member]:
    """The files in a tar; raises tarfile.ReadError where the module would take a broken or cut header for the end."""
    for info in tar:
        tar.members = []  # type: ignore[attr-defined]  # it would keep all of them
        if info.isfile():
            read = partial(_read_member, tar, info)
            fault = "sparse" if info.issparse() else ""  # its bytes do not lie there as they are
            yield _Member(info.name, str(info.offset_data), info.size, read, fault)
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"neither a member nor the end of a tar at byte {tar.offset:,}")


def _read_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    member = tar.extractfile(info)
    return member.read() if member else b""


def _members_of_folder(filesystem: Any, path: str) -> Iterator[_Member]:
    for info in sorted(filesystem.ls(path, detail=True), key=lambda info: str(info["name"])):
        name = info["name"].rsplit("/", 1)[-1]
        if info["type"] == "file" or info.get("islink"):
            read = partial(filesystem.cat_file, info["name"], start=0, end=MAX_TEXT)
            fault = "link" if info.get("islink") else ""  # it may lead out of the folder
            yield _Member(name, quote(name.rpartition(".")[0], safe=""), info["size"], read, fault)


def _read_samples(members: Iterable[_Member], path: str, names: Names, pool: str) -> Iterator[Row | str]:
    named = ((*_split(member.name), member) for member in members)
    of_samples = ((key, kind, member) for key, kind, member in named if key)
    for number, (_, group) in enumerate(groupby(of_samples, key=lambda one: one[0])):
        parts = {kind: member for _, kind, member in group if _suffix(kind) in _IMAGES | {"txt", "json"}}
        yield _find_fault(parts) or _read_sample(parts, path, names, pool, number)


def _split(name: str) -> tuple[str, str]:
    """A member's key and kind, as WebDataset has them: what stands before and after the first point of its name.

    Two empty texts for what is of no sample: names without a point, hidden ones (macOS puts `._0.jpg` beside `0.jpg`),
    and those that WebDataset keeps for itself.
    """
    folder, slash, base = name.rpartition("/")
    key, _, kind = base.partition(".")
    if not key or not kind or "__MACOSX" in folder.split("/") or name.startswith("__"):
        return "", ""
    return folder + slash + key, kind.lower()


def _suffix(kind: str) -> str:
    return kind.rpartition(".")[2]


def _find_fault(parts: Mapping[str, _Member]) -> str | None:
    for kind, part in parts.items():
        if part.fault or (part.size > MAX_TEXT and _suffix(kind) not in _IMAGES):
            return part.fault or "too_large"
    return None


def _read_sample(parts: Mapping[str, _Member], path: str, names: Names, pool: str, number: int) -> Row | str:
    try:
        content = json.loads(parts["json"].read()) if "json" in parts else {}
    except (ValueError, RecursionError):
        return "bad_json"
    fields = _strings(content)
    numbers = {name: content.get(name) if isinstance(content, dict) else None for name in names.numbers}
    text, url, page = (names.find(what, fields) for what in ("text", "url", "page"))
    if names.text in parts:
        texts = _lines(parts[names.text])
    elif text or names.text:
        texts = fields[text] if text else []
    else:
        texts = [line for kind, part in parts.items() if _suffix(kind) == "txt" for line in _lines(part)]
    image = min((kind for kind in parts if _suffix(kind) in _IMAGES), key=lambda kind: kind.count("."), default=None)
    address = None
    if image:
        part = parts[image]
        address = pool_address(pool, path, part.where, part.size, part.name.rpartition(".")[2])
    return Row(fields[url][0] if url else None, texts, fields[page][0] if page else None, number, address, numbers)


def _lines(part: _Member) -> list[str]:
    return [line for line in part.read().decode("utf-8-sig", "replace").splitlines() if line.strip()]


def _strings(content: Any) -> dict[str, list[str]]:
    """The texts of a JSON object by key, those of a list too; keys that hold none are left out."""
    lists = (
        {key: value if isinstance(value, list) else [value] for key, value in content.items()}
        if isinstance(content, dict)
        else {}
    )
    strings = {key: [item for item in value if isinstance(item, str) and item.strip()] for key, value in lists.items()}
    return {key: value for key, value in strings.items() if value}
