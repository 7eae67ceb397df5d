"""List the snapshots of Common Crawl and the archives of each, and choose which archives are read."""

import gzip
import io
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

_MAX_LIST = 64 << 20  # bytes; 90,000 paths take 12 MB
_PATH = re.compile(r"(?!/)(?!.*(?:^|/)\.\.?(?:/|$))[\w./+=-]+", re.ASCII)


def read_snapshots(collinfo: bytes, url: str, pattern: str) -> list[str]:
    """The ids in a collinfo.json that fit the pattern, in its order.

    Raises ValueError naming its `url` for a JSON that is no list.
    """
    snapshots = json.loads(collinfo)
    if not isinstance(snapshots, list):
        raise ValueError(f"{url}: expected a list of snapshots, found {type(snapshots).__name__}")
    ids = [snapshot.get("id") for snapshot in snapshots if isinstance(snapshot, dict)]
    return [key for key in ids if isinstance(key, str) and re.fullmatch(pattern, key)]


def read_periods(collinfo: bytes) -> dict[str, tuple[str, str]]:
    """First and last day of each snapshot in a collinfo.json that `read_snapshots` takes; empty where it has none.

    >>> read_periods(b'[{"id": "A", "from": "2026-01-05T00:00:00", "to": "soon"}]')
    {'A': ('2026-01-05', '')}
    """
    snapshots = [snapshot for snapshot in json.loads(collinfo) if isinstance(snapshot, dict)]
    return {str(it.get("id")): (_read_day(it.get("from")), _read_day(it.get("to"))) for it in snapshots}


def _read_day(moment: object) -> str:
    try:
        return datetime.fromisoformat(str(moment)).date().isoformat()
    except ValueError:
        return ""


def read_paths(packed: bytes, url: str) -> dict[str, str]:
    """The paths in a wat.paths.gz by their numbers, `00000` the first.

    Raises ValueError naming its `url` for what is no gzipped list, or an empty one, and for a path that leads out of
    the crawl's folder.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as unpacked:
            lines = unpacked.read(_MAX_LIST + 1)
        paths = lines.decode("utf-8").split()
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{url}: not a gzipped list of paths ({error}); fetch it again") from None
    if not paths or len(lines) > _MAX_LIST or any(not _PATH.fullmatch(path) for path in paths):
        raise ValueError(f"{url}: not a list of paths below the crawl's folder, or an empty one; fetch it again")
    return {f"{number:05d}": path for number, path in enumerate(paths)}


def find_archives(archives: Mapping[str, str], asked: Sequence[str]) -> set[str]:
    """The numbers of the archives that are asked for by number or by the end of their path.

    Raises ValueError for one that is not among them, or for an end that several have.

    >>> find_archives({"00000": "x/a.wat.gz", "00001": "x/b.wat.gz"}, ["1", "a.wat.gz"]) == {"00000", "00001"}
    True
    """
    numbers = set()
    for name in asked:
        ends = [number for number, path in archives.items() if f"/{path}".endswith(f"/{name}")]
        matching = [name.zfill(5)] if name.zfill(5) in archives else ends
        if len(matching) != 1:
            raise ValueError(
                f"again: {name!r} names {len(matching)} of the {len(archives):,} archives that are read; "
                "give a number, as in '00007', or the end of one path"
            )
        numbers.update(matching)
    return numbers


def draw_archives(archives: Mapping[str, Any], *, first: int = 0, share: float = 1.0, seed: int = 0) -> dict[str, Any]:
    """The archives that are read: of the `first` in the list (0: of all) a `share`, drawn by number and seed.

    A larger share holds a smaller one, so that a look at a snapshot is grown without reading anything twice; at least
    one is drawn. Raises ValueError for a share outside (0, 1] and a negative `first`.
    """
    if not 0 < share <= 1 or first < 0:
        raise ValueError(f"share={share}, first={first}: a share lies above 0 and is at most 1; first is 0 or more")
    candidates = list(archives)[: first or None]
    shuffled = sorted(candidates, key=lambda key: sha256(f"{seed} {key}".encode()).digest())
    drawn = set(shuffled[: max(1, round(share * len(shuffled)))])
    return {key: archives[key] for key in candidates if key in drawn}
