"""Laws of explaining over a whole lake: what is told is what the tables hold."""

import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from assets.keys import THRESHOLDS
from assets.queries.answers import explain_entry, explain_pair
from assets.queries.lookups import find_pairs
from assets.queries.rungs import thresholds_of
from assets.queries.traces import TracedPair, Verdicts
from commands import demo, explain
from commands.parser import build_parser
from definitions import bind
from metaclip_dagster.explaining import QuestionError, Table, explain_draw, render_text
from resources.crawl.mini import mini_deployment
from resources.deployments import Deployment
from resources.lake.resource import Lake
from resources.models.language_id import load_identifier

SNAPSHOTS = ["SAMPLE-2026-01", "SAMPLE-2026-02"]


def trace_pairs(lake: Lake, pair_ids: list[int], limit: int = 20) -> list[TracedPair]:
    places = {pair_id: find_pairs(lake, SNAPSHOTS, "pair_id", pair_id)[pair_id] for pair_id in pair_ids}
    return Verdicts(lake).describe(places, limit)


def facts(tables: list[Table], name: str) -> list[Any]:
    return [row[1] for table in tables for row in table.rows if row[0] == name]


def first_of(tables: list[Table], title: str) -> Table:
    return next(table for table in tables if table.title.startswith(title))


def test_admitted_at_is_admissions_own_for_every_pair_of_the_pool(lake: Lake) -> None:
    counts, thresholds = lake.read("entry_counts"), {t: thresholds_of(lake, t)["en"] for t in THRESHOLDS}
    members = {t: set(lake.read("subsets", [t])["pair_id"].to_pylist()) for t in THRESHOLDS}
    drawn = {}
    for row in lake.read("subsets", ["inf"]).to_pylist():
        drawing = explain_draw(row["pair_id"], counts.take(row["entry_ids"]), thresholds, seed=0)
        drawn[row["pair_id"]] = drawing.admitted_at
        assert {t for t, is_kept in drawing.decision.items() if is_kept} == {
            t for t in THRESHOLDS if row["pair_id"] in members[t]
        }
    stored = lake.read("admissions", SNAPSHOTS)
    assert dict(zip(stored["pair_id"].to_pylist(), stored["admitted_at"].to_pylist(), strict=True)) == drawn


def test_every_kind_of_pair_is_told_as_the_tables_have_it(lake: Lake) -> None:
    matches, pairs = lake.read("matches", SNAPSHOTS), lake.read("pairs", SNAPSHOTS)
    doubled = lake.read("exclusions")["pair_id"].to_pylist()
    unmatched = sorted(set(pairs["pair_id"].to_pylist()) - set(matches["pair_id"].to_pylist()))
    ids = [*matches["pair_id"].to_pylist()[::40], *doubled[::10], *unmatched[::40]]
    members = {t: set(lake.read("subsets", [t])["pair_id"].to_pylist()) for t in THRESHOLDS}
    for pair in trace_pairs(lake, ids):
        verdicts = [place.verdict for place in pair.places]
        assert pair.num_places == len(pair.places) == pairs["pair_id"].to_pylist().count(pair.pair_id)
        if pair.pair_id in members["inf"]:
            assert verdicts[0] == "in the pool"
            first = f"{pair.places[0].snapshot}, shard {pair.places[0].shard}"
            assert set(verdicts[1:]) <= {f"left out as duplicate: the pool has the pair from {first}"}
            assert pair.drawing is not None
            assert {t for t, is_kept in pair.drawing.decision.items() if is_kept} == {
                t for t in members if pair.pair_id in members[t]
            }
            assert {t for t, answer in pair.subsets.items() if answer == "has it"} == {
                t for t in members if pair.pair_id in members[t]
            }
            assert "stale" not in dict(pair.notes)
        else:
            assert pair.pair_id in unmatched
            assert pair.drawing is None
            assert {re.sub(r" in en alone| no entry", "", verdict) for verdict in verdicts} <= {
                "not in the pool: there are entries",
                "not in the pool: it matches",
            }


def test_a_url_gives_all_pairs_of_its_image_and_the_limit_says_what_it_hides(lake: Lake) -> None:
    pairs = lake.read("pairs", SNAPSHOTS)
    texts = (
        pairs.group_by("url")
        .aggregate([("pair_id", "count_distinct")])
        .sort_by([("pair_id_count_distinct", "descending"), ("url", "ascending")])
    )
    url, num_pairs = texts["url"][0].as_py(), texts["pair_id_count_distinct"][0].as_py()
    assert num_pairs > 2
    mine = set(pairs.filter(pc.field("url") == url)["text"].to_pylist())
    assert set(facts(explain_pair(lake, SNAPSHOTS, url), "text")) == mine
    cut = explain_pair(lake, SNAPSHOTS, url, limit=2)
    assert len(facts(cut, "text")) == 2
    assert f"2 of {num_pairs}; raise the limit for more" in facts(cut, "pairs")
    assert facts(explain_pair(lake, SNAPSHOTS, url, text=min(mine)), "text") == [min(mine)]


def test_an_entry_is_counted_in_every_subset_as_a_loop_counts_it(lake: Lake) -> None:
    counts = lake.read("entry_counts").sort_by([("entry_count", "descending")])
    subsets = {t: lake.read("subsets", [t]).to_pylist() for t in THRESHOLDS}
    for row in [*counts.slice(0, 3).to_pylist(), *counts.filter(pc.field("entry_count") == 1).slice(0, 2).to_pylist()]:
        tables = explain_entry(lake, row["entry"], limit=5)
        holders = {t: [pair for pair in rows if row["entry_id"] in pair["entry_ids"]] for t, rows in subsets.items()}
        rungs = {rung[0]: rung[1:] for rung in first_of(tables, "t of").rows}
        assert {t: rung[3] for t, rung in rungs.items()} == {t: len(pairs) for t, pairs in holders.items()}
        assert rungs["inf"][3] == row["entry_count"]
        assert {t: rung[1] for t, rung in rungs.items()} == {
            t: "head" if row["entry_count"] > float(t) else "tail" for t in THRESHOLDS
        }
        shown = [pair[0] for pair in first_of(tables, "some pairs").rows]
        assert shown == [str(pair) for pair in sorted(pair["pair_id"] for pair in holders["inf"])[:5]]
        by_snapshot = {of["snapshot"]: of["entry_count"] for of in row["snapshot_counts"]}
        assert {of[0]: of[1] for of in first_of(tables, "snapshots").rows} == by_snapshot


def test_what_is_not_there_is_named_with_the_way_out(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match=r"no pair of SAMPLE-2026-01, SAMPLE-2026-02 is 'http://h.example/x.png'"):
        explain_pair(lake, SNAPSHOTS, "http://h.example/x.png")
    with pytest.raises(QuestionError, match="try it without the text"):
        explain_pair(lake, SNAPSHOTS, "http://h.example/x.png", text="x")
    with pytest.raises(QuestionError, match="no pair_id"):
        explain_pair(lake, SNAPSHOTS, "x.png")
    with pytest.raises(QuestionError, match="give 1 or more"):
        explain_pair(lake, SNAPSHOTS, "1", limit=0)
    with pytest.raises(QuestionError, match=r"no registered snapshot has pairs yet .*; materialize them"):
        explain_pair(Lake(root=str(tmp_path)), SNAPSHOTS, "1")
    with pytest.raises(QuestionError, match=r"'no such entry' is none of the [\d,]+ entries .* own_lists"):
        explain_entry(lake, "no such entry")
    entry = lake.read("entries")["entry"][0].as_py()
    with pytest.raises(QuestionError, match=f"there is '{entry}', and matching minds case"):
        explain_entry(lake, entry.upper())


def test_a_table_that_is_not_made_is_named_and_the_rest_is_told(lake: Lake, tmp_path: Path) -> None:
    shutil.copytree(lake.root, tmp_path / "lake")
    without = Lake(root=str(tmp_path / "lake"))
    asked = str(lake.read("subsets", ["20"])["pair_id"][0])
    tables = explain_pair(without, SNAPSHOTS, asked)
    assert facts(tables, "image") == ["never asked for: no ring of images is made"]
    shutil.rmtree(tmp_path / "lake" / "subsets" / "20")
    assert [row[4] for row in first_of(explain_pair(without, SNAPSHOTS, asked), "t of").rows] == [
        "not made",
        "has it",
        "has it",
    ]
    for table, message in (
        ("admissions", "not drawn yet: materialize admissions"),
        ("exclusions", "not in the pool yet: materialize exclusions"),
        ("matches", "not searched yet: materialize matches"),
    ):
        shutil.rmtree(tmp_path / "lake" / table)
        assert message in render_text(explain_pair(without, SNAPSHOTS, asked))


def test_tables_of_different_ages_are_named_and_the_rest_is_told(lake: Lake, tmp_path: Path) -> None:
    shutil.copytree(lake.root, tmp_path / "lake")
    mixed = Lake(root=str(tmp_path / "lake"))
    [file] = mixed.dataset("entry_counts").files
    counts = pq.read_table(file)
    asked = lake.read("subsets", ["20"])["pair_id"][0].as_py()
    for factor in (2, 0):
        changed = counts
        for name in ("entry_count", "balanced_to"):
            at, numbers = counts.schema.get_field_index(name), pc.multiply(counts[name], pa.scalar(factor, pa.uint64()))
            changed = changed.set_column(at, counts.schema.field(at), numbers)
        pq.write_table(changed, file)
        [pair] = trace_pairs(mixed, [asked])
        assert ("stale" in dict(pair.notes)) == (factor == 2)
        assert (pair.drawing is None) == ("matches are newer" in dict(pair.notes)["admitted_at"]) == (factor == 0)
    at, words = counts.schema.get_field_index("entry"), counts["entry"].to_pylist()
    others = pa.array([*words[1:], words[0]], pa.string())
    pq.write_table(counts.set_column(at, counts.schema.field(at), others), file)
    [pair] = trace_pairs(mixed, [asked])
    assert pair.drawing is None
    assert "are of different lists of entries" in dict(pair.notes)["admitted_at"]
    entry = counts["entry"][counts.num_rows - 1].as_py()
    pq.write_table(counts.slice(0, 1), file)
    assert "matches are newer" in dict(trace_pairs(mixed, [asked])[0].notes)["admitted_at"]
    with pytest.raises(QuestionError, match="older list of entries: materialize matches"):
        explain_entry(mixed, entry)


def test_the_place_that_the_pool_has_a_pair_from_is_told_whatever_the_limit(lake: Lake, tmp_path: Path) -> None:
    shutil.copytree(lake.root, tmp_path / "lake")
    later = Lake(root=str(tmp_path / "lake"))
    shutil.rmtree(tmp_path / "lake" / "matches" / SNAPSHOTS[0])
    [file] = [path for path in later.dataset("exclusions").files if SNAPSHOTS[1] in path]
    excluded = pq.read_table(file)
    pq.write_table(excluded.slice(0, 0), file)
    asked = excluded["pair_id"][0].as_py()
    [pair] = trace_pairs(later, [asked], limit=1)
    assert pair.num_places > 1
    assert ["not searched yet" in pair.places[0].verdict, pair.places[-1].verdict] == [True, "in the pool"]
    assert len(pair.places) == 2
    assert pair.drawing is not None


def test_why_a_pair_is_not_in_the_pool_is_found_out_once_however_many_places_it_has(lake: Lake) -> None:
    pairs = lake.read("pairs", SNAPSHOTS)
    unmatched = set(pairs["pair_id"].to_pylist()) - set(lake.read("matches", SNAPSHOTS)["pair_id"].to_pylist())
    places = Counter(pairs["pair_id"].to_pylist())
    asked = next(pair for pair in sorted(unmatched) if places[pair] > 1)
    verdicts, identified = Verdicts(lake), list[str]()

    def identify(texts: list[str]) -> Any:
        identified.extend(texts)
        return load_identifier()(texts)

    verdicts.__dict__["_identify"] = identify
    [pair] = verdicts.describe({asked: find_pairs(lake, SNAPSHOTS, "pair_id", asked)[asked]}, 20)
    assert len(pair.places) > 1
    assert identified == [pair.text]


def test_a_pair_that_is_left_out_for_another_reason_is_told_that_reason(lake: Lake, tmp_path: Path) -> None:
    shutil.copytree(lake.root, tmp_path / "lake")
    without = Lake(root=str(tmp_path / "lake"))
    [file] = [path for path in without.dataset("exclusions").files if SNAPSHOTS[1] in path]
    excluded = pq.read_table(file)
    at = excluded.schema.get_field_index("reason")
    reasons = pa.array(["taken down"] * excluded.num_rows, pa.string())
    pq.write_table(excluded.set_column(at, excluded.schema.field(at), reasons), file)
    [pair] = trace_pairs(without, excluded["pair_id"][:1].to_pylist())
    assert "left out as taken down" in [place.verdict for place in pair.places]


def test_images_and_training_sets_are_told_as_their_tables_have_them(
    mini: Path, curated: Deployment, tmp_path: Path
) -> None:
    shutil.copytree(curated.lake, tmp_path / "lake")
    where = mini_deployment(mini, tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        for names in (["image_texts", "images"], ["training_sets"]):
            demo.materialize(bind(where), instance, names, "20")
    lake = Lake(root=where.lake)
    images = {row["image_id"]: row for row in lake.read("images", ["20"]).to_pylist()}
    trained = {text["pair_id"] for row in lake.read("training_sets", ["20"]).to_pylist() for text in row["texts"]}
    verdicts, ids = Verdicts(lake), lake.read("subsets", ["20"])["pair_id"].to_pylist()[::5]
    reasons = set()
    for pair in verdicts.describe({key: find_pairs(lake, SNAPSHOTS, "pair_id", key)[key] for key in ids}, 20):
        row, description = images[pair.image_id], verdicts.describe_image(pair.image_id)
        reasons.add(row["reason"])
        assert (f"{row['tar']}, {row['format']}" if row["tar"] else f"there is none: {row['reason']}") in description
        assert pair.training_sets == (["20"] if pair.pair_id in trained else [])
    assert None in reasons
    assert len(reasons) > 1  # the mini sample lacks some images


def run_job(curated: Deployment, config: Mapping[str, Any]) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("snapshot", SNAPSHOTS)
        job = bind(curated).resolve_job_def("explain")
        return job.execute_in_process(
            run_config={"ops": {"ask": {"config": dict(config)}}}, instance=instance, raise_on_error=False
        )


def test_the_job_attaches_the_answer_as_text_and_tables_and_pickles_nothing(curated: Deployment, lake: Lake) -> None:
    asked = str(lake.read("subsets", ["20"])["pair_id"][0])
    result = run_job(curated, {"pair": asked})
    assert result.success
    [output] = [event for event in result.events_for_node("ask") if event.is_successful_output]
    metadata = output.step_output_data.metadata
    assert metadata["answer"].value == render_text(explain_pair(lake, SNAPSHOTS, asked))
    assert {type(value) for value in metadata.values()} == {dg.TextMetadataValue, dg.TableMetadataValue}
    rungs = metadata[f"t of pair {asked}"]
    assert isinstance(rungs, dg.TableMetadataValue)
    assert [record.data["t"] for record in rungs.records] == list(THRESHOLDS)
    assert not [event for event in result.all_events if event.is_handled_output]
    entry = lake.read("entries")["entry"][0].as_py()
    assert run_job(curated, {"entry": entry}).success


@pytest.mark.parametrize(
    ("config", "says"),
    [({}, "set one of"), ({"pair": "1", "entry": "a"}, "set one of"), ({"pair": "x.png"}, "no pair_id")],
)
def test_a_job_without_a_question_fails_with_the_way_out(
    curated: Deployment, config: dict[str, Any], says: str
) -> None:
    result = run_job(curated, config)
    assert not result.success
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert failure.step_failure_data.user_failure_data is not None
    assert says in str(failure.step_failure_data.user_failure_data.description)


def test_the_command_answers(curated: Deployment, lake: Lake) -> None:
    row = lake.read("subsets", ["20"]).slice(0, 1).to_pylist()[0]
    asked = build_parser().parse_args(["explain", "pair", row["url"], "--text", row["text"]])
    assert f"\npair {row['pair_id']}\n  text" in explain.answer(curated, asked)
    entry = lake.read("entries")["entry"][0].as_py()
    asked = build_parser().parse_args(["explain", "entry", entry])
    assert explain.answer(curated, asked).startswith(f"entry {entry} (en)\n")
