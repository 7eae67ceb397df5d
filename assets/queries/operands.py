"""Find what a person names to compare: the pool, a t, a snapshot, entries, published counts, or any of it elsewhere."""

from dataclasses import dataclass, replace
from pathlib import Path

from assets.defaults import DEFAULTS
from assets.queries.distributions import list_languages
from assets.queries.provenance import list_snapshots
from assets.queries.sides import (
    Kind,
    Side,
    read_counts,
    read_entries,
    read_pool,
    read_snapshot,
    read_subset,
)
from resources.deployments import Deployment
from resources.files.object_store import connect
from resources.lake.resource import Lake, open_lake

POOL, ENTRIES = "pool", "entries"


@dataclass(frozen=True)
class Operand:
    """What a text names, before anything of it is read."""

    text: str
    kind: Kind
    name: str = ""
    """A t, a snapshot, or a build of entries."""
    lake: Lake | None = None
    images: str | None = None
    place: str = ""
    """The folder of another deployment, or the file or folder of counts; the deployment itself has none."""


def find_operand(where: Deployment, text: str) -> Operand:
    """What a text names: a name of the deployment first, then a path or URL, then FOLDER:NAME.

    Raises ValueError or FileNotFoundError, which list what there is, where it names nothing.
    """
    if not text.strip():
        raise ValueError("one of the two is empty: name what to compare, as pool or 20")
    lake = open_lake(where)
    if operand := _find_name(lake, text):
        return replace(operand, text=text, images=where.images)
    place, colon, name = text.rpartition(":")
    if _exists(where, text) or not colon or "/" in name or not place:
        place, name = text, ""
    if not _exists(where, place):
        raise ValueError(
            f"{text!r} is neither a file or folder, nor a name of this deployment, which has {_list_names(lake)}. Of "
            "another deployment, name the folder (its home or its lake), alone or as FOLDER:NAME"
        )
    if (elsewhere := _open_elsewhere(where, place)) is None:
        if name:
            raise ValueError(f"{place} is no home of a deployment, which has a folder lake, and no lake either")
        return Operand(text, "counts", place=place)
    if operand := _find_name(elsewhere[0], name or POOL):
        return replace(operand, text=text, images=elsewhere[1], place=place)
    raise ValueError(f"{place} has no {name!r}; it has {_list_names(elsewhere[0])}")


def read_side(operand: Operand, other: Operand) -> Side:
    """Read what an operand names, to set it beside the other: a t there is a t here, in one pool or beside counts."""
    if operand.lake is None:
        return _read_file(operand, other)
    t = other.name if other.kind == "t" and other.lake == operand.lake else None
    try:
        side = _read_name(operand, operand.lake, t)
    except ValueError as error:
        raise ValueError(f"{operand.text}: {error}" if operand.place else str(error)) from None
    return replace(side, images=operand.images, name=f"{side.name} of {operand.place}" if operand.place else side.name)


def _read_name(operand: Operand, lake: Lake, t: str | None) -> Side:
    if operand.kind == "pool":
        return read_pool(lake, t)
    if operand.kind == "t":
        return read_subset(lake, operand.name)
    return read_snapshot(lake, operand.name, t) if operand.kind == "snapshot" else read_entries(lake, operand.name)


def _read_file(operand: Operand, other: Operand) -> Side:
    languages = list_languages(other.lake) if other.lake else DEFAULTS.languages
    try:
        return read_counts(operand.place, languages=languages, of_subset=other.kind == "t")
    except FileNotFoundError as error:
        homes = ", ".join(str(path.parents[1]) for path in sorted(Path(operand.place).glob("*/lake/entries")))
        hint = f"; homes in it are {homes}" if homes else ""
        raise FileNotFoundError(
            f"{error}. Nor is it the home of a deployment, which has a folder lake, or a lake{hint}"
        ) from None


def _find_name(lake: Lake, name: str) -> Operand | None:
    if name == POOL:
        return Operand(name, "pool", lake=lake)
    if name.partition("@")[0] == ENTRIES:
        return Operand(name, "entries", name.partition("@")[2], lake)
    if name in _list_rungs(lake):
        return Operand(name, "t", name, lake)
    return Operand(name, "snapshot", name, lake) if name in _list_snapshots(lake) else None


def _list_names(lake: Lake) -> str:
    older = [f"entries@{shard.digest[:8]}" for shard in lake.store("entries").superseded()]
    rungs, snapshots = _list_rungs(lake), _list_snapshots(lake)
    return ", ".join([POOL, *(f"t = {t}" for t in rungs), *snapshots, ENTRIES, *older])


def _list_rungs(lake: Lake) -> list[str]:
    rungs = [partition for table, partition in lake.partitions() if table == "subsets"]
    return sorted(lake.finished("subsets", rungs), key=float)


def _list_snapshots(lake: Lake) -> list[str]:
    return list_snapshots(lake) if lake.finished("exclusions", ["all"]) else []


def _exists(where: Deployment, place: str) -> bool:
    try:
        filesystem, path = connect(place, where.lake_options if "://" in place else {})
        return bool(filesystem.exists(path))
    except ValueError:
        raise
    except Exception as error:  # each store's client has errors of its own
        raise ValueError(f"{place} cannot be reached: {error}") from error


def _open_elsewhere(where: Deployment, place: str) -> tuple[Lake, str | None] | None:
    """The lake of a home, with its images, or a lake that is named itself; None where a folder is neither."""
    if Path(place, "lake").is_dir():
        return Lake(root=str(Path(place, "lake"))), str(Path(place, "images"))
    options = dict(where.lake_options) if "://" in place else {}
    filesystem, path = connect(place, options)
    if not filesystem.isdir(path):
        return None
    lake = Lake(root=place, storage_options=options)
    return (lake, None) if lake.finished("entries", ["all"]) or lake.finished("entry_counts", ["all"]) else None
