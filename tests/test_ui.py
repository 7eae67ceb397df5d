"""What the UI shows of a pool that wants to be more than text: recorded metadata, reports, and pages in a browser."""

import html
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import dagster as dg
import pytest

from commands import demo
from definitions import bind
from resources.crawl.mini import mini_deployment
from resources.deployments import REPOSITORY, Deployment
from tests.browser import Browser, open_browser
from tests.live import reserve_port
from tests.metaclip_dagster.archives import content, members, wat_record

KEYS = ["SAMPLE-2026-01", "SAMPLE-2026-02"]
SAYS = "a dog that is really walking slowly over the kitchen table, and all the people are usually very happy"
MARK = "document.documentElement.dataset.hacked=1"
HOSTILE = [
    f"<script>{MARK}</script> {SAYS}",
    f"<img src=x onerror={MARK}> {SAYS}",
    f"</title></td></table><svg onload={MARK}> {SAYS}",
    f"[click](javascript:{MARK}) ![see](http://evil.example/pixel.png) `{{{{7*7}}}}` {SAYS}",
    f"\x1b[31m\x9b31mred\x1b[0m \u202egnp.exe\u2066 {SAYS}\u2028{SAYS}\U000e0041",
    f"{SAYS} " * 10_000,  # 1 MB
]
ENTRY = "<img src=x onerror=alert(1)>"
SOURCE = "<svg onload=alert(2)>.txt"
PLOTS = re.compile(r"(!\[\w+\]\(data:image/png;base64,[A-Za-z0-9+/=]+\)\s+\*[\w ,.:()|]+\*\s*)+")
PAGES = {
    "the asset graph": ("asset-groups", "curation"),
    "an asset": ("assets/entry_counts?view=overview", "top_entries"),
    "pairs": (f"assets/pairs?view=partitions&partition={KEYS[0]}", "sample_kept"),
    "subsets and their partitions": ("assets/subsets?view=partitions&partition=20", "sample_balanced_away"),
    "the partitions of two dimensions": ("assets/checkpoints?view=partitions", "online-20"),
    "checks": ("assets/entry_counts?view=checks", "counts_add_up"),
}


@pytest.fixture(scope="module")
def hostile(mini: Path, curated: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The curated mini sample, made again with a hostile archive, and a hostile list of entries that it matches."""
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copytree(mini, folder / "mini", symlinks=True)
    shutil.copytree(curated.home, folder / "data" / "sample")
    where = mini_deployment(folder / "mini", folder / "data" / "sample")
    own_list = folder / SOURCE
    own_list.write_text(ENTRY, encoding="utf-8")
    for key, texts in zip(KEYS, [HOSTILE, [f"{ENTRY} {SAYS}"] * 100], strict=True):
        images = [{"url": f"/{number}<b>.png", "alt": text} for number, text in enumerate(texts)]
        archive = min(Path(where.crawl, "crawl-data", key).rglob("*.wat.gz"))
        archive.write_bytes(members(wat_record(content("http://pages.example/'\"<i>/", images))))
    lists = {"ops": {"entries": {"config": {"own_lists": [str(own_list)]}}}}
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        demo.materialize(bind(where), instance, ["entries"], None, lists)
        for key in KEYS:
            demo.materialize(bind(where), instance, ["pairs", "matches"], key)
        demo.materialize(bind(where), instance, ["exclusions", "entry_counts"])
        for key in KEYS:
            demo.materialize(bind(where), instance, ["admissions"], key)
        demo.materialize(bind(where), instance, ["subsets", "data_cards"], "20")
    return where


def recorded(where: Deployment, asset: str, partition: str | None = None) -> dict[str, dg.MetadataValue]:
    """What the event log holds of the latest materialization."""
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        wanted = dg.AssetRecordsFilter(
            asset_key=dg.AssetKey(asset), asset_partitions=[partition] if partition else None
        )
        [record] = instance.fetch_materializations(wanted, limit=1).records
        assert record.asset_materialization
        return dict(record.asset_materialization.metadata)


def cells(shown: dg.MetadataValue) -> list[str]:
    assert isinstance(shown, dg.TableMetadataValue)
    return [cell for record in shown.records for cell in record.data.values() if isinstance(cell, str)]


def test_hostile_texts_are_sampled_as_visible_text_of_bounded_length(hostile: Deployment) -> None:
    samples = [
        recorded(hostile, "pairs", KEYS[0])["sample_kept"],
        recorded(hostile, "matches", KEYS[0])["sample_kept"],
        *(recorded(hostile, "subsets", "20")[name] for name in ("sample_kept", "sample_balanced_away")),
    ]
    for sample in samples[:2]:
        texts = cells(sample)
        for mark in ("<script>", "<img src=x", "javascript:", "⟨U+009B⟩31mred", "⟨U+202E⟩gnp.exe⟨U+2066⟩"):
            assert any(mark in text for text in texts), mark
    assert max(len(text) for sample in samples for text in cells(sample)) <= 160


@pytest.mark.parametrize(
    ("asset", "partition"),
    [("pairs", KEYS[0]), ("matches", KEYS[0]), ("entry_counts", None), ("subsets", "20"), ("data_cards", "20")],
)
def test_nothing_that_is_rendered_or_followed_holds_what_a_crawl_brought(
    hostile: Deployment, asset: str, partition: str | None
) -> None:
    for name, shown in recorded(hostile, asset, partition).items():
        assert not isinstance(shown, dg.NotebookMetadataValue), name
        if isinstance(shown, dg.UrlMetadataValue):
            assert re.fullmatch(re.escape(hostile.reports_url) + r"/\w+\.(html|json)", shown.value or ""), name
        if isinstance(shown, dg.MarkdownMetadataValue):
            assert PLOTS.fullmatch(shown.value), name
            assert len(shown.value) < 150_000
        else:
            assert len(repr(shown.value)) < 20_000, name


@pytest.fixture(scope="module")
def server(hostile: Deployment) -> Iterator[str]:
    """A web server over that deployment, without a daemon, on a free port of the loopback."""
    with reserve_port() as port:
        yield from _serve(hostile, port)


def _serve(hostile: Deployment, port: int) -> Iterator[str]:
    environment = os.environ | {
        "DAGSTER_HOME": str(hostile.dagster_home),
        "METACLIP_DEPLOYMENT": "sample",
        "METACLIP_DATA": str(hostile.home.parent),
        "METACLIP_CRAWL": hostile.crawl,
    }
    command = [sys.executable, "-m", "dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    log = hostile.home.parent / "server.log"
    with log.open("wb") as printed:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=printed, stderr=printed, start_new_session=True
        )
    try:
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 120
        while not _answers(f"{url}/server_info"):
            waits = process.poll() is None and time.monotonic() < deadline
            assert waits, log.read_text(encoding="utf-8")
            time.sleep(0.5)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.mark.parametrize("page", PAGES)
def test_a_page_renders_without_console_errors_and_runs_nothing_of_the_crawl(
    page: str, server: str, browser: Browser
) -> None:
    path, says = PAGES[page]
    browser.open(f"{server}/{path}")
    browser.says(says)
    browser.settle()
    dom = browser.run("document.documentElement.outerHTML")
    assert "data-hacked" not in dom[: dom.index("<head")]
    assert _Dangerous.list_in(dom) == []
    assert browser.console == []
    if page == "pairs":
        assert f"&lt;script&gt;{MARK}&lt;/script&gt;" in dom
    if page == "an asset":
        assert html.escape(ENTRY) in dom


def test_an_asset_page_shows_its_plots_and_draws_its_numbers_over_time(server: str, browser: Browser) -> None:
    browser.open(f"{server}/assets/data_cards?view=partitions&partition=20")
    browser.click("[Show Markdown]")
    shown = "[...document.images].filter(it => it.src.startsWith('data:image/png') && it.naturalWidth > 500)"
    browser.until(f"{shown}.length === 3")
    browser.open(f"{server}/assets/entry_counts?view=overview")
    browser.click("Plots")
    browser.until("[...document.querySelectorAll('canvas')].filter(it => it.width > 100).length > 3")
    browser.says("tail_share_of_matches/20")
    assert browser.console == []


def test_a_card_on_a_phone_breaks_no_word_and_its_charts_are_dark_where_the_page_is(
    hostile: Deployment, browser: Browser
) -> None:
    browser.open((hostile.reports / "data_card_t_20.html").as_uri(), width=390)
    browser.until("document.readyState === 'complete'")
    words = "[...document.querySelectorAll('.entry')].filter(it => /^[a-z]{2,12}$/.test(it.innerText))"
    assert browser.run(f"{words}.length") > 5
    assert browser.run(f"{words}.filter(it => it.getClientRects()[0].height > 40).length") == 0
    assert browser.run("document.documentElement.scrollWidth") == 390
    assert browser.run("Math.min(...[...document.images].map(it => it.width))") >= 600
    for mode, filtered in (("dark", True), ("light", False)):
        browser.prefer(mode)
        assert ("invert" in browser.run("getComputedStyle(document.images[0]).filter")) == filtered


class _Dangerous(HTMLParser):
    """Whatever in a page would run or fetch something of the crawl's."""

    @classmethod
    def list_in(cls, dom: str) -> list[str]:
        parser = cls()
        parser.feed(dom)
        return parser._dangers

    def __init__(self) -> None:
        super().__init__()
        self._dangers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        off = [name for name, value in attrs if name.startswith("on") or re.search("javascript:|evil", value or "")]
        self._dangers += [f"<{tag} {name}>" for name in off]

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script" and MARK in data:
            self._dangers.append("<script>")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
