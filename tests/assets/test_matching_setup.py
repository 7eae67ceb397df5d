"""Workers match with one index of the entries, which the first of them leaves beside the lake."""

from collections import Counter
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pytest

from assets.pool import matching_setup
from assets.queries.identification import identified_languages, language_identification
from metaclip_dagster.matching import build_matcher, match_entries, why_unmatchable
from metaclip_dagster.metadata import build_entries, read_own_entries
from metaclip_dagster.schemas import ENTRIES, MATCHES
from metaclip_dagster.words.languages import LANGUAGES
from resources.deferred import defer, named, version_of
from resources.engines.driver import drive
from resources.engines.local_engine import LocalEngine
from resources.engines.shards import Shard, StageCall
from resources.lake.resource import Lake
from resources.lake.shard_files import read_table
from resources.lake.tables import TableStore
from resources.models.language_id import MODEL, load_identifier
from resources.variables import LID_176
from tests.lakes import commit
from tests.metaclip_dagster.tables import entries_of, pairs_of
from tests.resources.fasttext_models import write_model

WORDS = ["dog", "red dog", "the dog runs", "a"]


def lake_with_entries(root: Path) -> Lake:
    lake = Lake(root=str(root / "lake"))
    [rows] = entries_of(WORDS).to_batches()
    commit(lake, "entries", "all", rows)
    return lake


@named("tests.assets.test_matching_setup:pairs_of_shard")
def pairs_of_shard(number: int) -> list[pa.RecordBatch]:
    return [pairs_of([f"the red dog runs with a ball over the green field {number}", "nothing"] * 20)]


def test_workers_share_an_index_and_match_as_one_process_does(tmp_path: Path) -> None:
    lake = lake_with_entries(tmp_path)
    store = TableStore(lake.root, "matches", "one")
    call = StageCall(match_entries, MATCHES, store, matching_setup(lake))
    reports = [*drive(LocalEngine(2), call, [Shard(str(n), {"pairs": defer(pairs_of_shard, n)}) for n in range(4)])]
    assert [report.error for report in reports if report.status != "done"] == []
    assert len([*(tmp_path / "matchers").glob("*.arrow")]) == 1
    expected = pa.Table.from_batches(
        match_entries(
            pairs_of_shard(0),
            matcher=build_matcher(lake.read("entries")),
            identify=load_identifier(),
            dropped=Counter(),
        )
    )
    for report in reports:
        assert report.manifest
        matches = read_table([store.path(report.manifest)], {})
        assert matches["entry_ids"].to_pylist() == expected["entry_ids"].to_pylist() == [[0, 1, 3]] * 20


def test_an_index_changes_no_version_of_the_matches(tmp_path: Path) -> None:
    lake = lake_with_entries(tmp_path)
    assert matching_setup(lake)["matcher"].version == defer(build_matcher, lake.table("entries")).version


def test_the_installed_model_alone_changes_no_version_of_matches(tmp_path: Path) -> None:
    assert version_of(matching_setup(lake_with_entries(tmp_path))["identify"]) == MODEL


def test_matches_know_what_models_hold_and_not_where_they_lie_or_which_comes_first(tmp_path: Path) -> None:
    words = {"eng_Latn": ["dog"], "hak_Hani": ["wagging"]}
    first, moved, other = (str(tmp_path / name) for name in ("first.bin", "moved.bin", "other.bin"))
    for path in (first, moved):
        write_model(Path(path), words)
    write_model(Path(other), {**words, "zxx_Zzzz": ["img"]})
    asked = [(first,), (moved,), (other,), (LID_176,), (LID_176, first), (LID_176, moved), (first, LID_176)]
    versions = [version_of(language_identification(models)) for models in asked]
    assert versions[0] == versions[1]
    assert versions[4] == versions[5] == versions[6]
    assert len({*versions}) == len(versions) - 3


def test_a_worker_refuses_a_model_that_was_replaced_since_the_run_began(tmp_path: Path) -> None:
    path = tmp_path / "lid.bin"
    identify = language_identification((write_model(path, {"eng_Latn": ["dog"]}),))
    assert identify()(["dog"])[0] == ["en"]
    write_model(path, {"deu_Latn": ["dog"]})
    with pytest.raises(ValueError, match=r"lid\.bin: not the model that this run began with"):
        identify()


def test_what_another_model_names_is_counted_by_its_code(tmp_path: Path) -> None:
    model = write_model(tmp_path / "small.bin", {"eng_Latn": ["dog"], "hak_Hani": ["wagging"], "zxx_Zzzz": ["img"]})
    texts = ["the dog", "a wagging dog wagging", "a img", "a"]
    dropped, seen = Counter[str](), Counter[str]()
    matches = [
        *match_entries(
            [pairs_of(texts)],
            matcher=build_matcher(entries_of(WORDS)),
            identify=language_identification((model,))(),
            dropped=dropped,
            seen=seen,
        )
    ]
    assert [row["language"] for batch in matches for row in batch.to_pylist()] == ["en"]
    assert seen == {"language en": 1, "language hak": 1, "language zxx": 1, "language und": 1}
    assert dropped == {"other_language": 3, "no_match": 0}


def test_a_language_that_only_the_deployments_model_names_has_a_list_in_which_its_texts_are_searched(
    tmp_path: Path,
) -> None:
    words = {"eng_Latn": ["dog"], "hak_Hani": ["wagging"], "hau_Latn": ["kare"]}
    model = write_model(tmp_path / "small.bin", words)
    identified = identified_languages((model,))
    assert (identified, identified_languages((LID_176, model))) == (["en", "hak", "hau"], ["en"])
    assert identified_languages((LID_176,)) == sorted(LANGUAGES)
    listed = {
        language: {"own": read_own_entries(BytesIO(word), name="a.txt", languages=[language], dropped=Counter())}
        for language, word in {"en": b"dog", "hak": b"wagging", "ha": b"kare", "xh": b"inja"}.items()
    }
    entries = pa.Table.from_batches(
        build_entries(listed, why_unmatchable=why_unmatchable, identified=identified, dropped=Counter()), ENTRIES
    )
    assert entries["unmatchable"].to_pylist() == [None, None, None, "no text is identified as 'xh'"]
    identify, texts = language_identification((model,))(), ["the dog", "a wagging", "wagging dog wagging", "kare"]
    matches = match_entries(
        [pairs_of(texts)], matcher=build_matcher(entries), identify=identify, dropped=Counter(), seen=Counter()
    )
    rows = [(row["language"], row["entry_ids"]) for batch in matches for row in batch.to_pylist()]
    assert rows == [("en", [0]), ("hak", [1]), ("hak", [1]), ("ha", [2])]


@pytest.mark.parametrize("content", [None, b"", b"a page that says not found"])
def test_a_file_that_is_no_model_fails_before_any_shard_and_names_the_variable(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "lid.bin"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((FileNotFoundError, ValueError), match=r"^METACLIP_LANGUAGE_ID: .*lid\.bin: "):
        language_identification((str(path),))
