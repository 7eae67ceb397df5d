"""Laws of what the UI is given: text stays text, samples are the same on every run, numbers are those of the tables."""

import re
import string
import unicodedata
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.keys import THRESHOLDS
from assets.queries.rungs import thresholds_of
from assets.shown import (
    describe_counts,
    plots,
    sample_matches,
    sample_pairs,
    sample_subset,
    show_kept_and_dropped,
    show_pictures,
    table,
)
from definitions import MODULES
from metaclip_dagster.reporting.html.thumbnails import Picture
from resources.lake.resource import Lake

KEY = "SAMPLE-2026-01"
JOINERS = set("\u200c\u200d")  # emoji are spelled with them


def rows(shown: dg.TableMetadataValue) -> list[dict[str, object]]:
    return [dict(record.data) for record in shown.records]


@given(st.text())
def test_no_text_keeps_a_character_that_hides_or_reorders_others_nor_grows_long(text: str) -> None:
    [row] = rows(table(["text"], [[text]]))
    shown = str(row["text"])
    assert len(shown) <= 160
    assert {unicodedata.category(c) for c in set(shown) - JOINERS}.isdisjoint(["Cc", "Cf", "Cs", "Co", "Zl", "Zp"])
    if len(text) <= 160 and set(text) <= set(string.ascii_letters + "<>&[]()!`"):
        assert shown == text


def test_a_table_without_rows_still_names_its_columns_and_nothing_is_a_dash() -> None:
    assert [column.name for column in table(["a", "b"], []).schema.columns] == ["a", "b"]
    assert rows(table(["a", "b"], [[None, 0.123456]])) == [{"a": "–", "b": 0.1235}]


def test_kept_and_dropped_come_in_one_order_and_add_up() -> None:
    shown = rows(show_kept_and_dropped(6, {"b": 1, "a": 1, "c": 2}))
    assert [(row["what"], row["number"]) for row in shown] == [("kept", 6), ("c", 2), ("a", 1), ("b", 1)]
    assert [row["share"] for row in shown] == ["60.0%", "20.0%", "10.0%", "10.0%"]
    assert rows(show_kept_and_dropped(0, {})) == [{"what": "kept", "number": 0, "share": "–"}]


def test_plots_are_pictures_each_above_its_caption_and_none_goes_without() -> None:
    shown = plots({"loss": b"\x89PNG"}, {"loss": "Loss over time."}).value
    assert shown == "![loss](data:image/png;base64,iVBORw==)\n\n*Loss over time.*"
    with pytest.raises(KeyError, match="no caption for the plots loss"):
        plots({"loss": b"\x89PNG"}, {})


def test_pictures_are_inline_only_where_shown_and_always_listed_with_their_urls() -> None:
    pictures = [Picture("0" * 24, "https://a.example/1.png", "[x](javascript:1)", b"\xff\xd8"), Picture("1" * 24)]
    shown = show_pictures("gallery", pictures, "shown")
    assert shown["gallery"].value == "![1](data:image/jpeg;base64,/9g=)"
    for mode in ("blurred", "off"):
        assert show_pictures("gallery", pictures, mode).keys() == {"gallery_listed"}
    assert [row["url"] for row in rows(shown["gallery_listed"])] == ["https://a.example/1.png", ""]


def test_samples_are_rows_of_the_tables_and_the_same_on_every_run(lake: Lake) -> None:
    known = {row["text"] for row in lake.read("pairs", [KEY]).to_pylist()}
    pairs, matched = sample_pairs(lake, KEY)["sample_kept"], sample_matches(lake, KEY)
    assert (sample_pairs(lake, KEY)["sample_kept"], sample_matches(lake, KEY)) == (pairs, matched)
    for shown in (pairs, *matched.values()):
        assert 0 < len(rows(shown)) <= 6
        assert {row["text"] for row in rows(shown) if "⟨" not in str(row["text"])} <= known
    assert all(row["entries"] for row in rows(matched["sample_kept"]))


@pytest.mark.parametrize("t", THRESHOLDS)
def test_sampled_pairs_are_on_their_side_of_t(lake: Lake, t: str) -> None:
    shown = sample_subset(lake, KEY, thresholds_of(lake, t))
    below, above = (
        [float(str(row["admitted_at"])) for row in rows(shown[name])]
        for name in ("sample_kept", "sample_balanced_away")
    )
    drawn = {float(f"{number:.4g}") for number in lake.read("admissions", [KEY])["admitted_at"].to_pylist()}
    assert {*below, *above} <= drawn
    assert below
    assert max(below) < float(t)
    assert all(number >= float(t) for number in above)
    assert t == "100" or bool(above) == (t == "20")


def test_the_tail_share_grows_with_t_and_the_top_entries_come_first(lake: Lake) -> None:
    metadata = describe_counts(lake)
    counts = lake.read("entry_counts")["entry_count"].to_pylist()
    assert [row["pairs"] for row in rows(metadata["top_entries"])] == sorted(counts, reverse=True)[:20]
    assert metadata["matches"] == sum(counts)
    assert metadata["head_entries/20"] == sum(count > 20 for count in counts)
    assert metadata["tail_share_of_matches/20"] == pytest.approx(sum(c for c in counts if c <= 20) / sum(counts))
    assert metadata["tail_share_of_matches/20"] < metadata["tail_share_of_matches/100"] <= 1


def test_lineage_is_of_columns_that_there_are(lake: Lake) -> None:
    loaded = dg.load_assets_from_modules(MODULES)
    specs = {
        spec.key.to_user_string(): spec
        for definition in loaded
        if isinstance(definition, dg.AssetsDefinition)
        for spec in definition.specs
    }
    partitions = {"pairs": [KEY], "matches": [KEY], "admissions": [KEY], "subsets": ["20"]}
    checked = 0
    for name in ("matches", "exclusions", "entry_counts", "admissions", "subsets"):
        column_lineage = specs[name].metadata["dagster/column_lineage"]
        upstream = {dep.asset_key for dep in specs[name].deps}
        for column, sources in column_lineage.deps_by_column.items():
            assert column in lake.dataset(name, partitions.get(name, ["all"])).schema.names
            for source in sources:
                assert source.asset_key in upstream
                table_name = source.asset_key.to_user_string()
                names = lake.dataset(table_name, partitions.get(table_name, ["all"])).schema.names
                assert source.column_name in names
                checked += 1
    assert checked > 20


def list_assets() -> list[dg.AssetSpec]:
    from definitions import defs

    with dg.DagsterInstance.ephemeral():  # the one that an earlier test entered may be gone
        return [spec for spec in defs.resolve_all_asset_specs() if spec.group_name != "default"]


def test_every_asset_says_what_to_do_next_and_names_only_assets_and_commands_that_there_are() -> None:
    assets = list_assets()
    names = {spec.key.to_user_string() for spec in assets}
    commands = {*re.findall("^### (metaclip .+)$", Path("docs/commands.md").read_text(encoding="utf-8"), re.MULTILINE)}
    for spec in assets:
        name, description = spec.key.to_user_string(), spec.description or ""
        sentence = re.search(r"^Next: [^\n]+\.$", description, re.MULTILINE)
        assert sentence, f"{name}: end its docstring with a line `Next: ...`, what a person does once it is made"
        unknown = {*re.findall("`(.+?)`", sentence[0])} - names - commands
        assert not unknown, f"{name}: `Next:` names {unknown}, which is neither an asset nor a command"
        assert "<" not in re.sub("`.+?`", "", description), f"{name}: the UI takes <...> for HTML; put it in backticks"


def test_every_asset_has_a_group_an_owner_a_description_and_at_most_three_kinds() -> None:
    assets = list_assets()
    assert len(assets) >= 17
    for spec in assets:
        assert spec.description
        assert spec.owners
        assert all(owner.startswith("team:") for owner in spec.owners)
        assert 1 <= len(spec.kinds) <= 3
        [place] = spec.metadata["dagster/code_references"].code_references
        assert f"\ndef {spec.key.to_user_string()}(" in Path(place.file_path).read_text(encoding="utf-8")
