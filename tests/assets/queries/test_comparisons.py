"""Two sides of a comparison are counted alike, and what is said of them is what their tables say."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from assets.queries.comparisons import average_scores, compare_sides
from assets.queries.copies import list_urls
from commands.compare import write_comparison
from commands.export import export_counts
from metaclip_dagster.reporting.comparisons.rows import line_up_scores
from metaclip_dagster.reporting.html.intervals import bound_share
from resources.deployments import Deployment
from resources.lake.resource import Lake, open_lake
from tests.graphs import copy_home

SNAPSHOTS = ["SAMPLE-2026-01", "SAMPLE-2026-02"]
PAIRS_OF_OPERANDS = [("20", "100"), ("pool", "20"), (SNAPSHOTS[0], SNAPSHOTS[1])]


@pytest.fixture
def where(curated: Deployment, tmp_path: Path) -> Deployment:
    """The curated home, with reports of its own."""
    (tmp_path / "home").mkdir()
    return copy_home(curated, tmp_path / "home", copied=(), linked=("lake",))


def swap(value: Any) -> Any:
    """What a mirror shows: here is there, absent here absent there, and differences change their sign."""
    if isinstance(value, dict):
        rows = {_swap_name(name): swap(row) for name, row in value.items()}
        for name in ("difference", "log2_ratio"):
            if rows.get(name) is not None:
                rows[name] = -rows[name]
        return {**rows, "verdict": _swap_name(rows["verdict"])} if "verdict" in rows else rows
    if isinstance(value, float):
        return round(value, 9)
    return [swap(row) for row in value] if isinstance(value, list) else value


def _swap_name(name: str) -> str:
    pairs = (("here", "there"), ("more", "less"), ("richest", "poorest"), ("richer", "poorer"))
    for one, two in pairs:
        if re.search(rf"(\b|_){one}$", name) or name == one:
            return re.sub(f"{one}$", two, name)
        if re.search(rf"(\b|_){two}$", name) or name == two:
            return re.sub(f"{two}$", one, name)
    return name


def by_name(rows: list[dict[str, Any]], name: str = "name") -> dict[str, dict[str, Any]]:
    return {row[name]: row for row in rows}


@pytest.mark.parametrize(("here", "there"), PAIRS_OF_OPERANDS)
def test_a_comparison_the_other_way_round_is_its_mirror(where: Deployment, here: str, there: str) -> None:
    _, report, _ = compare_sides(where, here, there)
    _, mirror, _ = compare_sides(where, there, here)
    report = swap(swap(report))
    mirror = {**swap(mirror), "kinds": mirror["kinds"][::-1]}
    for part in (report, mirror):
        part["distribution"]["verdicts"] = by_name(part["distribution"]["verdicts"], "verdict")
        part["facts"] = {name: by_name(rows) for name, rows in part["facts"].items()}
        part["provenance"] = by_name(part["provenance"])
    assert mirror == report


@pytest.mark.parametrize("operand", ["pool", "20", SNAPSHOTS[1], "entries"])
def test_a_thing_beside_itself_shows_no_difference_anywhere(where: Deployment, operand: str, tmp_path: Path) -> None:
    copy = f"{copy_home(where, tmp_path / 'copy').home}:{operand}"
    for other in (operand, copy):
        comparison, report, _ = compare_sides(where, operand, other)
        assert report["equal"]
        numbers = [row for rows in report["facts"].values() for row in rows]
        assert all(row["difference"] == 0 for row in numbers), other
        assert all(row["here"] == row["there"] for row in [*numbers, *report["provenance"]]), other
        for part in filter(None, [report["entries"], *(report["pairs"] or {}).values()]):
            assert not any(part.get(name) for name in ("only_here", "only_there", "moved")), other
        if comparison is not None:
            assert report["distribution"]["overlap"] == pytest.approx(1)
            assert {*comparison["verdict"].to_pylist()} <= {"alike", "absent in both"}


def test_the_ring_between_two_t_is_what_duckdb_counts(where: Deployment) -> None:
    _, report, _ = compare_sides(where, "20", "100")
    lake = open_lake(where)
    small, large = (lake.dataset("subsets", [t]).to_table() for t in ("20", "100"))
    with duckdb.connect() as query:
        query.register("small", small)
        query.register("large", large)
        ring = query.sql("select pair_id, image_id from large where pair_id not in (select pair_id from small)")
        ids = {str(row[0]) for row in ring.fetchall()}
        images = query.sql(
            "select count(distinct image_id) from large where image_id not in (select image_id from small)"
        ).fetchall()[0][0]
        languages = query.sql("select language, count(*) from large group by 1").fetchall()
    assert report["pairs"]["pairs"] == {"both": small.num_rows, "only_here": 0, "only_there": len(ids)}
    assert report["pairs"]["images"]["only_there"] == images
    assert dict(languages) == {row["name"]: row["there"] for row in report["facts"]["languages"]}
    examples = report["pairs"]["examples"]
    assert not examples["only_here"]
    assert {row["pair_id"] for row in examples["only_there"]} <= ids
    assert len({row["image_id"] for row in examples["only_there"]}) == len(examples["only_there"]) == 24
    assert all(row["entries"] and row["url"] for row in examples["only_there"])


def test_takedowns_find_a_page_by_each_picture_on_it(where: Deployment) -> None:
    page = Path(write_comparison(where, "20", "100").rpartition(": ")[2])
    report = json.loads(page.with_suffix(".json").read_bytes())
    urls = {row["url"] for row in report["pairs"]["examples"]["only_there"]}
    assert len(urls) == 24
    searched = list_urls(where.reports)
    assert all(urls <= searched[path] for path in (page, page.with_suffix(".json")))


@pytest.mark.parametrize("link", [False, True])
def test_pictures_of_another_home_are_blurred_and_those_of_this_one_by_another_name_are_not(
    imaged: Deployment, tmp_path: Path, link: bool
) -> None:
    (tmp_path / "home").mkdir()
    here = copy_home(imaged, tmp_path / "home", copied=(), linked=("lake", "images"))
    other = tmp_path / "home" if link else copy_home(imaged, tmp_path / "other", ("lake", "images")).home
    page = Path(write_comparison(here, "20", f"{other}:100").rpartition(": ")[2]).read_text("utf-8")
    assert "data:image/jpeg" in page
    assert ('class="gallery blurred"' in page) is not link


def test_the_snapshots_of_a_pool_add_up_to_it(where: Deployment) -> None:
    table, report, _ = compare_sides(where, *SNAPSHOTS)
    whole, _, _ = compare_sides(where, "pool", "pool")
    assert table is not None
    assert whole is not None
    both = [here + there for here, there in zip(*(table[side].to_pylist() for side in ("here", "there")), strict=True)]
    assert both == whole["here"].to_pylist()
    assert report["pairs"]["pairs"]["both"] == 0, "a pair that both have counts for the first"


def test_counts_of_others_are_alike_where_they_are_our_own(where: Deployment, tmp_path: Path) -> None:
    folder = tmp_path / "own counts"
    export_counts(where, "20", folder)
    for here, there in (
        ("pool", str(folder / "distribution.parquet")),
        ("20", str(folder / "distribution.parquet")),
        ("20", str(folder)),
        ("pool", str(folder)),
        (str(folder / "entry_counts.json"), "pool"),
    ):
        assert "100.0 % of the matches lie alike" in write_comparison(where, here, there)
    assert "100.0 %" not in write_comparison(where, str(folder / "entry_counts.json"), "20")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(folder / "entry_counts.json", tmp_path / name / "counts.json")
    says = [write_comparison(where, "pool", str(tmp_path / name / "counts.json")) for name in ("a", "b")]
    pages = [Path(sentence.rpartition(": ")[2]) for sentence in says]
    assert pages[0] != pages[1], "one of another folder replaces no other"
    for page in pages:
        report = json.loads(page.with_suffix(".json").read_bytes())
        table = pq.read_table(where.reports / report["table"])
        assert table.num_rows == report["distribution"]["entries"] == open_lake(where).manifest("entries").rows


@pytest.fixture
def rebuilt_entries(curated: Deployment, tmp_path: Path) -> Deployment:
    """A home whose entries were made anew without the last ten, as a rerun leaves both builds."""
    where = copy_home(curated, tmp_path / "rebuilt")
    lake = open_lake(where)
    store, before = lake.store("entries"), lake.manifest("entries")
    rows = lake.read("entries").slice(0, before.rows - 10)
    [shard] = before.shards
    name, num_rows, size, digest = store.commit(shard.key, "f" * 32, rows.schema, rows.to_batches())
    rebuilt = store.publish(replace(shard, fingerprint="f" * 32, file=name, rows=num_rows, bytes=size, digest=digest))
    store.finish(replace(before, version="another", shards=(rebuilt,)))
    return where


def test_entries_stand_beside_the_build_before(rebuilt_entries: Deployment, curated: Deployment) -> None:
    says = write_comparison(rebuilt_entries, "entries", "entries@before")
    assert "0 entries only here, 10 only there, 0 moved" in says
    old = open_lake(curated).manifest("entries").shards[0].digest
    _, report, _ = compare_sides(rebuilt_entries, f"entries@{old[:6]}", f"{curated.home}:entries")
    assert report["equal"]
    with pytest.raises(FileNotFoundError, match=rf"has no entries@zz; it has entries@{old[:8]}"):
        compare_sides(rebuilt_entries, "entries", "entries@zz")
    _, report, _ = compare_sides(rebuilt_entries, "pool", str(curated.home))
    assert report["entries"] is None, "the counts are of the list before"


def test_what_names_nothing_is_refused_with_what_there_is(where: Deployment, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    names = r"pool, t = 20, t = 100, t = inf, SAMPLE-2026-01, SAMPLE-2026-02, entries"
    for operand, says in (
        ("7", rf"'7' is neither .* which has {names}"),
        ("no.json", r"'no\.json' is neither a file or folder"),
        (f"{where.home}:7", rf"has no '7'; it has {names}"),
        (f"{tmp_path / 'empty'}:20", "is no home of a deployment"),
        (str(tmp_path / "empty"), r"has no entry_counts.* Nor is it the home of a deployment"),
        (str(tmp_path), rf"homes in it are .*{re.escape(str(where.home))}"),
        ("", "one of the two is empty"),
        ("entries", "entries are compared with entries alone"),
        ("entries@before", "entries are compared with entries alone"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=says):
            compare_sides(where, "pool", operand)


def test_a_folder_of_code_that_is_called_lake_is_no_home(where: Deployment, tmp_path: Path) -> None:
    (tmp_path / "code" / "resources" / "lake").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"Nor is it the home of a deployment[^;]*$"):
        compare_sides(where, "pool", str(tmp_path / "code"))


def test_a_store_that_cannot_be_reached_is_named(where: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(where.home / "none"))
    with pytest.raises(ValueError, match=r"s3://bucket/lake cannot be reached: Unable to locate credentials"):
        compare_sides(where, "pool", "s3://bucket/lake")


def test_a_lake_of_another_version_is_refused_by_its_file(where: Deployment, curated: Deployment) -> None:
    other = copy_home(curated, where.home.parent / "other")
    path = Path(other.lake, "entry_counts", "all", "manifest.json")
    manifest = json.loads(path.read_bytes())
    path.unlink()
    path.write_text(json.dumps({**manifest, "colour": "green"}), "utf-8")
    with pytest.raises(ValueError, match=r"entry_counts/all/manifest\.json: the manifest is of another version"):
        compare_sides(where, "pool", str(other.home))
    path.write_text(json.dumps(manifest), "utf-8")
    store = Lake(root=other.lake).store("entry_counts")
    rows = Lake(root=other.lake).read("entry_counts").drop_columns(["balanced_to"])
    pq.write_table(rows, store.path(store.manifest().shards[0]))  # type: ignore[union-attr]  # it is there
    with pytest.raises(ValueError, match="entry_counts has no column balanced_to: an older version"):
        compare_sides(where, "pool", str(other.home))


def test_scores_stand_in_one_row_where_task_recipe_and_pairs_seen_are_the_same() -> None:
    score = {"task": "emoji", "task_version": "1", "part": "all", "metric": "acc1", "recipe": "tiny", "pairs_seen": 9}
    one = {**score, "mean": 0.5, "spread": None, "seeds": [0], "num_images": 100, "chance": 0.01}
    one["interval"] = [*bound_share(0.5, 100)]
    rows = line_up_scores([one], [{**one, "mean": 0.25}, {**one, "task_version": "2"}, {**one, "pairs_seen": 8}])
    assert [row["difference"] for row in rows] == [0.25, None, None]
    assert rows[0]["here"]["interval"] == pytest.approx([0.4038, 0.5962], abs=1e-4), "Wilson's, of 50 in 100"
    assert line_up_scores([one], []) == []


def test_seeds_that_were_scored_on_two_versions_of_a_task_are_not_averaged() -> None:
    row = {"task": "emoji", "part": "all", "metric": "acc1", "chance": 0.01, "num_images": 100}
    rows = {
        seed: [{**row, "task_version": version, "score": score}]
        for seed, version, score in ((0, "new", 0.4), (1, "old", 0.9), (2, "new", 0.6))
    }
    averages = {it["task_version"]: it for it in average_scores(rows)}
    assert {version: (it["mean"], it["seeds"]) for version, it in averages.items()} == {
        "new": (0.5, [0, 2]),
        "old": (0.9, [1]),
    }
    assert averages["new"]["interval"] == pytest.approx([0.4038, 0.5962], abs=1e-4), "Wilson's, of 50 in 100"
    assert [
        it["difference"] for it in line_up_scores(*2 * [[{"recipe": "a", "pairs_seen": 9, **averages["old"]}]])
    ] == [0]
