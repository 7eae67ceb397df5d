"""Copy D(t) with its data card into a dataset's folder, and read from the folder what its documents say."""

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from markupsafe import escape

from assets.queries.distributions import read_distribution
from assets.queries.parsers import check_columns
from assets.queries.provenance import recorded_pool
from metaclip_dagster.counting import write_distribution
from metaclip_dagster.publishing.parts import (
    DataFile,
    Part,
    count_licenses,
    find_example,
    find_period,
    name_config,
)
from metaclip_dagster.reporting.cards.pictures import drop_pictures
from resources.files.exports import ATTRIBUTION, clear_made_up_addresses, keep_licenses, write_attribution
from resources.files.local import write_text
from resources.lake.resource import Lake
from resources.published.folders import digest_file

ATTRIBUTIONS, CARDS, DATA, DISTRIBUTION = "attribution", "cards", "data", "distribution"


def copy_subset(lake: Lake, t: str, folder: Path, *, licenses: Sequence[str] = ()) -> tuple[list[Path], int, int]:
    """Copy the Parquet files of D(t), and no superseded ones; gives them, their rows, and how many have no url.

    A url is null where an image came without one, in a pool's own tars. Where `licenses` are given, patterns as
    `CC-BY*`, only rows whose licence fits one of them are left; raises ValueError where none does.
    """
    check_columns(lake, "subsets", t)
    files, rows = lake.copy_files("subsets", t, folder), lake.manifest("subsets", t).rows
    if licenses:
        rows = sum(keep_licenses(file, licenses) for file in files)
        if not rows:
            raise ValueError(f"no pair of D({t}) has a licence like {' or '.join(licenses)}; see its data card")
    return files, rows, sum(map(clear_made_up_addresses, files))


def read_attribution(files: Iterable[Path]) -> Iterator[pa.RecordBatch]:
    """The columns of an attribution file, of Parquet files of SUBSETS."""
    for file in files:
        yield from pq.ParquetFile(file).iter_batches(columns=[*ATTRIBUTION])


def write_part(lake: Lake, card: dict[str, Any], page: str, t: str, folder: Path) -> int:
    """Put the rows of D(t) and its data card into the folder, in place of what is there of this t; gives the pairs.

    Raises ValueError for a subset that an older version made, and for a data card that is of another build of it.
    """
    subset = lake.manifest("subsets", t)
    check_columns(lake, "subsets", t)
    if card["provenance"].get("subset") != subset.version:
        raise ValueError(f"the data card of t = {t} is of another build of the subset; materialize data_cards of {t}")
    data, distribution = (folder / name / name_config(t) for name in (DATA, DISTRIBUTION))
    for part in (data, distribution):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    files, pairs, _ = copy_subset(lake, t, data)
    write_distribution(read_distribution(lake, t), distribution)
    write_attribution(read_attribution(files), folder / ATTRIBUTIONS / f"{name_config(t)}.csv")
    pool = recorded_pool(subset)
    snapshots = pool.snapshots if pool else tuple(snapshot["snapshot"] for snapshot in card["snapshots"])
    dates = lake.dataset("pairs", snapshots).to_batches(columns=["crawled_at"])
    public = {
        **{name: part for name, part in card.items() if name != "pictures"},
        "command": f"dagster asset materialize -f definitions.py --select subsets,data_cards --partition {t}",
        "published": {
            "crawled": find_period(dates),
            "licenses": count_licenses(ds.dataset(files).to_batches(columns=["license"])),
            "software": f"metaclip_dagster {version('metaclip-dagster')}",
        },
    }
    # The card's own command names folders of this machine.
    page = drop_pictures(page).replace(escape(card["command"]), escape(public["command"]))
    text = json.dumps(public, allow_nan=False, ensure_ascii=False, indent=1)
    write_text(folder / CARDS / f"{name_config(t)}.json", text)
    write_text(folder / CARDS / f"{name_config(t)}.html", page)
    return pairs


def read_parts(folder: Path) -> list[Part]:
    """Every t that is in the folder, in ascending order, as it lies there."""
    ts = [path.stem.removeprefix(name_config("")) for path in (folder / CARDS).glob("*.json")]
    return [read_part(folder, t) for t in sorted(ts, key=float)]


def read_part(folder: Path, t: str) -> Part:
    """D(t) as it lies in the folder."""
    card = json.loads((folder / CARDS / f"{name_config(t)}.json").read_text("utf-8"))
    published = card["published"]
    paths = sorted((folder / DATA / name_config(t)).glob("*.parquet"))
    beside = [
        folder / ATTRIBUTIONS / f"{name_config(t)}.csv",
        *sorted((folder / DISTRIBUTION / name_config(t)).iterdir()),
    ]
    return Part(
        card=card,
        files=[describe_file(folder, path) for path in paths],
        beside=[describe_file(folder, path) for path in beside],
        licenses=published["licenses"],
        crawled=tuple(published["crawled"]) if published["crawled"] else None,
        software=published["software"],
        example=find_example(batch for path in paths for batch in pq.ParquetFile(path).iter_batches()),
    )


def describe_file(folder: Path, path: Path) -> DataFile:
    """A file of the folder with its size and SHA-256."""
    return DataFile(path.relative_to(folder).as_posix(), path.stat().st_size, digest_file(path))
