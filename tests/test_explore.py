"""The what-if page in a browser: its numbers are DuckDB's, it loads nothing, and texts are but texts."""

import json
import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from assets.queries.copies import list_urls
from assets.queries.exploring import explore_pool, read_report
from commands.explore import explore
from metaclip_dagster.reporting.exploring.entries import pack
from metaclip_dagster.reporting.exploring.page import render_exploration
from metaclip_dagster.reporting.html.numbers import percent
from metaclip_dagster.reporting.html.thumbnails import Picture
from resources.deployments import Deployment
from resources.lake.resource import Lake
from resources.models.resource import Trainer
from resources.reports.server import serve_reports
from tests.browser import Browser, open_browser
from tests.graphs import SNAPSHOTS, copy_home

AXE = distribution("axe-playwright-python").locate_file("axe_playwright_python/axe.min.js")
ROWS = {
    "pairs": "Pairs kept, |D(t)|",
    "head_entries": "Entries in the head, thinned",
    "tail_entries": "Entries in the tail, kept whole",
    "present": "Entries with at least one pair",
    "matches": "Matches kept",
    "images": "Images",
    "to_fetch": "Images to fetch",
}
SHARES = {"head_before": "The head’s share of matches, before", "head_after": "The head’s share of matches, after"}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(imaged: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the imaged mini sample, of whose images a bucket is not fetched."""
    where = copy_home(imaged, tmp_path_factory.mktemp("explored"), copied=["images"], linked=["lake"])
    shutil.rmtree(min(Path(where.images).glob("*/")))
    return explore(where)


def open_page(browser: Browser, url: str, width: int = 1200) -> None:
    browser.open(url, width=width)
    browser.until("document.body?.dataset.ready")
    assert browser.console == []


def choose(browser: Browser, side: str, t: str) -> None:
    """Type a t, as somebody would, and leave the field."""
    field = f"document.querySelector('#{side} .typed')"
    browser.run(f"{field}.value = {json.dumps(t)}; {field}.dispatchEvent(new Event('change'))")


def search(browser: Browser, text: str) -> None:
    """Type a part of an entry, and open the first that is found."""
    field = "document.querySelector('#query')"
    browser.run(f"{field}.value = {json.dumps(text)}; {field}.dispatchEvent(new Event('input'))")
    browser.run("document.querySelector('#results button').click()")


def read_rows(browser: Browser, section: str = "kept") -> dict[str, list[str]]:
    rows = browser.run(
        f"[...document.querySelectorAll('#{section} tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))"
    )
    return {name: cells for name, *cells in rows}


def read_range(shown: str) -> tuple[int, int]:
    low, *high = (int(number.replace(",", "")) for number in shown.split(" to "))
    return low, (high or [low])[0]


def count_by_duckdb(lake: Lake, images: Path, t: float) -> dict[str, Any]:
    """What the page says of t, counted from the tables."""
    files = [str(path) for path in images.glob("*/*.parquet")]
    with duckdb.connect() as query:
        query.register("admissions", lake.dataset("admissions", SNAPSHOTS))
        query.register("matches", lake.dataset("matches", SNAPSHOTS))
        query.register("counts", lake.dataset("entry_counts"))
        query.execute("create table stored as select distinct image_id from read_parquet(?)", [files])
        query.execute("create table kept as select * from admissions where admitted_at < ?", [t])
        query.sql("""
            create table found as select unnest(entry_ids) as entry_id
            from (select pair_id, first(entry_ids) as entry_ids from matches semi join kept using (pair_id) group by 1)
        """)
        one = query.execute(
            """
            select (select count(*) from kept) as pairs, (select count(*) from found) as matches,
                (select count(distinct entry_id) from found) as present,
                (select count(distinct image_id) from kept) as images,
                (select count(distinct image_id) from kept where lower(hex(image_id)) not in (from stored)) as to_fetch,
                count_if(entry_count > ?) as head_entries, count_if(entry_count between 1 and ?) as tail_entries,
                coalesce(sum(entry_count) filter (entry_count > ?), 0) / sum(entry_count) as head_before,
                (select count_if(entry_count > ?) / count(*) from found join counts using (entry_id)) as head_after
            from counts
            """,
            [t] * 4,
        ).fetchall()
        return dict(zip([column[0] for column in query.description or []], one[0], strict=True))


def test_at_20_random_t_the_page_says_what_duckdb_counts(page: Path, browser: Browser, curated: Deployment) -> None:
    lake = Lake(root=curated.lake)
    report = json.loads(page.with_suffix(".json").read_text("utf-8"))
    draw = np.random.default_rng(18)
    at_stops = [*draw.choice(report["stops"][:-1], 9, replace=False).tolist(), math.inf]
    between = np.exp(draw.uniform(math.log(0.3), math.log(1.5 * report["stops"][-2]), 10)).tolist()
    open_page(browser, page.as_uri())
    for t in [*at_stops, *between]:
        choose(browser, "a", repr(t))
        expected, shown = count_by_duckdb(lake, page.parents[1] / "images", t), read_rows(browser)
        for name, says in ROWS.items():
            low, high = read_range(shown[says][0])
            assert low <= expected[name] <= high, (t, name)
            assert low == high or t in between, (t, name)
        for name, says in SHARES.items():
            if t in between:
                ends = [float(it.strip("<>%")) / 100 for it in shown[says][0].split(" to ")]
                assert ends[0] - 0.001 <= expected[name] <= ends[-1] + 0.001, (t, name)
            else:
                assert shown[says][0] == percent(expected[name]), (t, name)
        assert read_rows(browser, "languages")["en"][1] == shown[ROWS["pairs"]][0]


def test_what_is_kept_of_an_entry_is_counted_or_lies_between_the_rungs(
    page: Path, browser: Browser, curated: Deployment
) -> None:
    lake = Lake(root=curated.lake)
    counts, subset = lake.read("entry_counts").to_pylist(), lake.read("subsets", ["inf"])
    report = json.loads(page.with_suffix(".json").read_text("utf-8"))
    shown = {example["entry"] for example in report["examples"]}
    matched = sorted((row for row in counts if row["entry_count"]), key=lambda row: -row["entry_count"])
    asked = [next(row for row in matched if row["entry"] in shown), matched[-1]]
    asked += [next(row for row in matched if row["entry"] not in shown)]
    open_page(browser, page.as_uri())
    admitted_at, ids = subset["admitted_at"].to_numpy(), subset["entry_ids"].to_pylist()
    for row in asked:
        search(browser, row["entry"])
        assert browser.run("document.querySelector('#entry h3 bdi').textContent") == row["entry"]
        of_pairs = admitted_at[[row["entry_id"] in entries for entries in ids]]
        for t in (1, 7, 20, 64, 100, math.inf):
            choose(browser, "a", repr(t))
            says = browser.run("document.querySelector('#entry dd').textContent")
            low, high = read_range(re.split(", in| :", says)[0])
            num_kept = int((of_pairs < t).sum())
            assert low <= num_kept <= high
            assert low == high or (row["entry"] not in shown and t in (1, 7, 64))


def test_the_slider_moves_by_a_stop_with_the_arrow_keys_and_says_which(page: Path, browser: Browser) -> None:
    open_page(browser, page.as_uri())
    slider = "document.querySelector('#a .slider')"
    choose(browser, "a", "20")
    browser.run(f"{slider}.focus()")
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "Home"):
        browser.press(key)
        seen.append(browser.run(f"{slider}.getAttribute('aria-valuetext')"))
    assert seen == ["t = 21", "t = 22", "t = 21", "t = inf, a rung", "t = 1"]
    browser.run("document.querySelector('#query').focus()")
    browser.run("document.execCommand('insertText', false, 'c')")
    browser.press("ArrowDown")
    browser.press("ArrowDown")
    assert browser.run("document.activeElement === document.querySelectorAll('#results button')[1]")
    browser.press("Enter")
    assert browser.run("document.activeElement.id") == "entry"
    browser.until("document.querySelector('#said').textContent.startsWith('This t, 1: ')")


def test_a_t_between_two_stops_differs_in_nothing_from_itself(page: Path, browser: Browser) -> None:
    open_page(browser, page.as_uri())
    for side in ("a", "b"):
        choose(browser, side, "20.5")
    pairs, same, _ = read_rows(browser)[ROWS["pairs"]]
    assert " to " in pairs
    assert pairs == same
    assert {row[-1] for row in read_rows(browser).values()} <= {"0", "0 points", "0.0 points", "unknown"}
    choose(browser, "b", "20.75")
    assert read_rows(browser)[ROWS["pairs"]][-1] != "0"


def test_a_search_says_how_many_entries_there_are_beyond_those_it_lists(
    page: Path, browser: Browser, imaged: Deployment
) -> None:
    words = [entry.lower() for entry in Lake(root=imaged.lake).read("entries")["entry"].to_pylist()]
    open_page(browser, page.as_uri())
    for text in ("c", "skin tone", "no entry holds this"):
        num = sum(text in word for word in words)
        browser.run(
            f"(it => (it.value = {text!r}, it.dispatchEvent(new Event('input'))))(document.querySelector('#query'))"
        )
        assert browser.run("document.querySelectorAll('#results button').length") == min(num, 25)
        said = browser.run("document.querySelector('#found').textContent")
        assert said.startswith(f"The first 25 of {num:,} entries" if num > 25 else ("One", f"{num or 'No'} entries"))


def test_what_is_no_t_is_said_to_all_and_changes_nothing(page: Path, browser: Browser) -> None:
    open_page(browser, page.as_uri())
    choose(browser, "a", " INF ")
    shown = read_rows(browser)
    for text in ("0", "-5", "abc", ""):
        choose(browser, "a", text)
        for says in ("#said", "#a .exact"):
            assert browser.run(f"document.querySelector('{says}').textContent") == "t is a number above 0, or inf."
        assert browser.run("document.querySelector('#a .typed').getAttribute('aria-invalid')") == "true"
        assert read_rows(browser) == shown
    choose(browser, "a", "inf")
    assert not browser.run("document.querySelector('#a .typed').hasAttribute('aria-invalid')")


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_axe_finds_no_fault_that_keeps_anybody_out(page: Path, browser: Browser, mode: str) -> None:
    browser.prefer(mode)
    open_page(browser, page.as_uri(), width=390)
    assert browser.run("document.documentElement.scrollWidth") <= 390
    search(browser, "c")
    browser.run(Path(str(AXE)).read_text("utf-8"))
    faults = browser.run("axe.run().then(it => it.violations.map(that => [that.impact, that.id, that.nodes[0].html]))")
    assert [fault for fault in faults if fault[0] in ("serious", "critical")] == []


def test_it_is_served_with_leave_for_its_own_script_alone(page: Path, browser: Browser) -> None:
    (page.parent / "other.html").write_text("<p>x</p><script>document.body.dataset.ready = 1</script>", "utf-8")
    with serve_reports(page.parent, 0) as port:
        open_page(browser, f"http://127.0.0.1:{port}/{page.name}")
        browser.run(
            "document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))"
        )
        assert browser.run("document.title") != "1"
        browser.open(f"http://127.0.0.1:{port}/other.html")
        browser.says("x")
        assert not browser.run("document.body.dataset.ready")


def test_a_second_pool_stands_beside_the_first(page: Path, browser: Browser, imaged: Deployment) -> None:
    other, home = json.loads(page.with_suffix(".json").read_text("utf-8")), page.parents[1]
    other["languages"]["en"]["pairs"][-1] += 1_000_000
    (home / "other.json").write_text(json.dumps(other), encoding="utf-8")
    beside = explore(replace(imaged, home=home), home / "other.json")
    assert beside.name == "explore_beside.html"
    open_page(browser, beside.as_uri())
    choose(browser, "a", "inf")
    choose(browser, "b", "inf")
    first, second, _ = read_rows(browser)[ROWS["pairs"]]
    assert first == second
    select = "document.querySelector('#b .pool')"
    browser.run(f"{select}.value = '1'; {select}.dispatchEvent(new Event('change'))")
    assert read_rows(browser)[ROWS["pairs"]][1:] == [f"{read_range(first)[0] + 1_000_000:,}", "−1,000,000"]
    for text in ("", "[]", '{"stops": [1]}'):
        (home / "none.json").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"none\.json is no explore\.json"):
            read_report(home / "none.json")


def test_admissions_that_were_drawn_with_other_counts_are_refused(imaged: Deployment, tmp_path: Path) -> None:
    lake = Lake(root=copy_home(imaged, tmp_path).lake)
    drawn = lake.manifest("admissions", SNAPSHOTS[0])
    lake.store("admissions", SNAPSHOTS[0]).finish(replace(drawn, inputs={**drawn.inputs, "draw": "other"}))
    with pytest.raises(ValueError, match=f"admissions of {SNAPSHOTS[0]} are drawn with other counts"):
        explore_pool(lake, str(tmp_path / "images"), Trainer(root=str(tmp_path)))


def test_hostile_entries_texts_and_addresses_are_but_texts(
    imaged: Deployment, browser: Browser, tmp_path: Path
) -> None:
    explored = explore_pool(Lake(root=imaged.lake), imaged.images, Trainer(root=str(tmp_path)))
    mark = "document.documentElement.dataset.hacked=1"
    bad = f"</script><!--<script>{mark}</script><img src=x onerror={mark}>\u202e\x1b\u2028"
    report = {
        **explored.report,
        "pool": bad,
        "balanced_to": bad,
        "languages": {bad: explored.report["languages"]["en"]},
    }
    report["training"] = {"pairs_to_see": 9, "architectures": [{"architecture": bad, "seconds_a_pair": 2.0}]}
    report["rungs"] = {bad if t == "20" else t: stop for t, stop in report["rungs"].items()}
    entry = {**report["examples"][0], "entry": bad, "language": bad}
    entry["pairs"] = [{**pair, "text": bad * 9999, "url": f"javascript:{mark}//{bad}"} for pair in entry["pairs"]]
    report["examples"] = [entry]
    number, rungs = entry["entry_count"], len(report["rungs"])
    columns = {"languages": [[bad, 1]], "shared": [0], "words": bad, "count": [number]}
    entries = pack({**columns, "kept": [[1]] * (rungs - 1)})
    pictures = {pair["image_id"]: Picture(pair["image_id"], bad, bad, b"GIF89a<script>") for pair in entry["pairs"]}
    (tmp_path / "explore.html").write_text(render_exploration(report, entries, pictures, mode="blurred"), "utf-8")
    browser.prefer("light")
    open_page(browser, (tmp_path / "explore.html").as_uri())
    search(browser, "img")
    shown = browser.run("document.querySelector('#entry').innerText")
    assert "<img src=x onerror=" in shown
    assert "⟨U+202E⟩" in shown
    assert browser.run("document.querySelectorAll('#entry li').length") == len(entry["pairs"])
    assert browser.run("document.querySelectorAll('script, a[href^=javascript]').length") == 4
    assert browser.run("document.documentElement.dataset.hacked ?? 'no'") == "no"
    assert browser.console == []


def test_nothing_is_loaded_and_purges_find_every_example(page: Path, browser: Browser) -> None:
    open_page(browser, page.as_uri())
    assert browser.run("performance.getEntriesByType('resource').length") == 0
    report = json.loads(page.with_suffix(".json").read_text("utf-8"))
    urls = {pair["url"] for example in report["examples"] for pair in example["pairs"]}
    assert urls
    assert urls <= list_urls(page.parent)[page.with_suffix(".json")]
