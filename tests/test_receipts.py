"""Laws of receipts, on the mini sample: each request is told what went for it, and nothing of what that was."""

import hashlib
import hmac
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from assets.queries import receipts
from commands import purge
from metaclip_dagster.reporting.receipts.page import render_receipt
from resources.deployments import Deployment
from resources.images import folders
from resources.lake.tables import TableStore
from tests.graphs import SNAPSHOTS, copy_home
from tests.lakes import commit
from tests.test_takedown import DOMAIN, Taken, graph, members, train

HEADER = "kind,value,reason,request"


def write_list(taken: Taken, *lines: str) -> None:
    taken.where.takedowns.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")


def receipt_of(where: Deployment, request: str) -> dict[str, Any]:
    return dict(json.loads((where.reports / "takedowns" / f"{request}.json").read_text(encoding="utf-8")))


def publish(taken: Taken, t: str) -> Path:
    """A published copy of a subset, and of its licences, as such a folder has them."""
    dataset = taken.where.home / "published" / "dataset"
    (dataset / "data" / f"t{t}").mkdir(parents=True)
    pq.write_table(taken.lake.read("subsets", [t]), dataset / "data" / f"t{t}" / "00000.parquet")
    (dataset / f"ATTRIBUTION-t{t}.csv").write_text(f"http://{DOMAIN}/", encoding="utf-8")
    return dataset


@pytest.fixture
def taken(imaged: Deployment, tmp_path: Path) -> Iterator[Taken]:
    with graph(copy_home(imaged, tmp_path, ("lake", "images"))) as opened:
        yield opened


def test_a_receipt_says_what_went_and_repeats_none_of_it(taken: Taken) -> None:
    crawled = {snapshot: taken.lake.read("pairs", [snapshot]).to_pylist() for snapshot in SNAPSHOTS}
    of_snapshot = {
        snapshot: [row for row in rows if f"//{DOMAIN}/" in row["url"]] for snapshot, rows in crawled.items()
    }
    of_domain = [row for rows in of_snapshot.values() for row in rows]
    url = of_domain[0]["url"]
    page = next(row for rows in crawled.values() for row in rows if DOMAIN not in row["url"] + row["page_url"])
    alone = str(page["pair_id"])
    write_list(taken, f"domain,{DOMAIN},letter of Ann,r-1", f"url,{url},,r.2", f"pair_id,{alone},,r.2", f"url,{url},,")
    folder = train(taken, "20")
    dataset = publish(taken, "inf")
    (taken.where.reports / "sizes_t_20.csv").parent.mkdir(exist_ok=True)
    (taken.where.reports / "sizes_t_20.csv").write_text(f"host,pairs\nwww.{DOMAIN},7\n", encoding="utf-8")
    (taken.where.reports / "sizes_t_20.docx").write_bytes(b"zip")
    (taken.where.reports / "other.json").write_text("{}", encoding="utf-8")
    versions = {f"{t} {p}": m.version for t, p in taken.lake.partitions() if (m := taken.lake.store(t, p).manifest())}
    stored = members(taken.where)

    preview = purge.take_down(taken.where, dry_run=True)
    assert not (taken.where.reports / "takedowns").exists()
    assert "would be deleted here" in purge.describe(preview)
    assert "bytes" not in purge.describe(preview).partition("table")[2]
    report = purge.take_down(taken.where)
    assert "was deleted here" in purge.describe(report)
    assert {Path(path).stem for path in report["receipts"]} == {"r-1", "r.2"}
    [first], [second] = (receipt_of(taken.where, request)["purges"] for request in ("r-1", "r.2"))

    for request, purged in (("r-1", first), ("r.2", second)):
        planned = preview["requests"][request]
        assert {part: purged[part] for part in planned} == planned | {"tables": purged["tables"]}
        assert [{**row, "after": None} for row in purged["tables"]] == planned["tables"]
    assert first["matched"] == [
        {"snapshot": snapshot, "pairs": len(rows), "images": len({row["image_id"] for row in rows})}
        for snapshot, rows in of_snapshot.items()
    ]
    assert {row["table"]: row["rows"] for row in first["tables"] if row["partition"] == SNAPSHOTS[0]}["pairs"] == len(
        of_snapshot[SNAPSHOTS[0]]
    )
    for row in first["tables"]:
        name = f"{row['table']} {row['partition']}"
        assert (row["before"], row["after"]) == (versions[name], taken.lake.manifest(*name.split(" ")).version)
    images = {row["image_id"].hex() for row in of_domain}
    blanked = {image for image, data in members(taken.where).items() if data != stored[image]}
    assert sum(row["images"] for row in first["tars"]) == len(blanked & images)
    assert first["named"] == {"domain": 1}
    assert second["named"] == {"url": 1, "pair_id": 1}
    assert [row["training"] for row in first["trainings"]] == [str(folder.relative_to(taken.where.checkpoints))]
    assert first["reports_deleted"] == ["sizes_t_20.csv", "sizes_t_20.docx"]
    assert {path.name for path in taken.where.reports.iterdir()} == {"other.json", "takedowns"}
    assert [row["t"] for row in first["published"]] == ["inf"]
    assert not list(dataset.rglob("*inf*"))

    removed = {str(row[name]) for row in [*of_domain, page] for name in ("url", "text", "page_url", "pair_id")}
    removed |= {row["image_id"].hex() for row in of_domain} | {DOMAIN, url, alone, "letter", "Ann"}
    of_nothing = render_receipt({"request": "", "purges": [first | {part: [] for part in planned}]})
    for path in (taken.where.reports / "takedowns").iterdir():
        content = path.read_text(encoding="utf-8")
        assert not [value for value in removed if value in content and value not in of_nothing], path

    key = (taken.where.reports / "takedowns" / "r.2.key").read_bytes()
    lines = {("url", url), ("pair_id", alone)}
    assert {line["hmac_sha256"] for line in second["lines"]} == {
        hmac.new(key, f"{kind} {value}".encode(), hashlib.sha256).hexdigest() for kind, value in lines
    }


def test_a_receipt_is_added_to_where_a_later_purge_finds_more_and_else_left_alone(taken: Taken) -> None:
    again = taken.lake.read("pairs", SNAPSHOTS)
    write_list(taken, f"domain,{DOMAIN},,r-1", "domain,nothing.example,,r-2")
    purge.take_down(taken.where)
    folder = taken.where.reports / "takedowns"
    before = {path: path.read_bytes() for path in folder.iterdir() if path.stem in ("r-1", "r-2")}
    assert receipt_of(taken.where, "r-2")["purges"][0]["tables"] == []
    assert "Nothing that the request names was there." in (folder / "r-2.html").read_text(encoding="utf-8")
    assert purge.take_down(taken.where)["receipts"] == []
    assert {path: path.read_bytes() for path in before} == before
    [again] = again.filter(pc.match_substring(again["url"], f"//{DOMAIN}/")).combine_chunks().to_batches()
    commit(taken.lake, "pairs", "SAMPLE-2026-09", again)  # a later crawl still has it
    assert [Path(path).stem for path in purge.take_down(taken.where)["receipts"]] == ["r-1"]
    first, second = receipt_of(taken.where, "r-1")["purges"]
    assert first == json.loads(before[folder / "r-1.json"])["purges"][0]
    assert [(row["partition"], row["rows"]) for row in second["tables"]] == [("SAMPLE-2026-09", len(again))]


def test_what_a_killed_purge_had_removed_stands_in_the_receipt_once(
    taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_list(taken, f"domain,{DOMAIN},,r-1", f"domain,{DOMAIN},,r-2")
    publish(taken, "20")
    planned = purge.take_down(taken.where, dry_run=True)["requests"]["r-1"]
    steps = ((folders, "blank_members", 5), (TableStore, "finish", 1), (TableStore, "finish", 9))
    for owner, name, moment in (*steps, (receipts, "render_receipt", 2)):
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, dying(getattr(owner, name), moment))
            with pytest.raises(KeyboardInterrupt):
                purge.take_down(taken.where)
    purge.take_down(taken.where)
    for request in ("r-1", "r-2"):
        [purged] = receipt_of(taken.where, request)["purges"]
        assert purged["attempts"] == 5
        assert {part: purged[part] for part in planned} == planned | {"tables": purged["tables"]}
        assert [{**row, "after": None} for row in purged["tables"]] == planned["tables"]


def dying(function: Callable[..., Any], moment: int) -> Callable[..., Any]:
    """The function, which at its so manieth call is done and then ends everything."""
    calls = itertools.count(1)

    def call(*args: Any, **kwargs: Any) -> Any:
        answer = function(*args, **kwargs)
        if next(calls) == moment:
            raise KeyboardInterrupt
        return answer

    return call
