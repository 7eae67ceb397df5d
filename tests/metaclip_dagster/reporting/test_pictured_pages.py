"""Laws of pages with pictures of pairs: whatever a crawl brought is text, and bytes are there only where shown."""

import json
from typing import Any

import pytest

from metaclip_dagster.reporting.comparisons.page import render_comparison
from metaclip_dagster.reporting.html.thumbnails import Picture, Pictures
from metaclip_dagster.reporting.left_out.page import (
    Group,
    HostCounts,
    LeftOut,
    Reason,
    describe_left_out,
    render_left_out,
)
from metaclip_dagster.reporting.searches.page import render_search
from tests.metaclip_dagster.pages import parse_harmless, strict

BAD = "</ul></section><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}\u202e\x1b\u2028\ud800"
LONG = BAD * 9999
URLS = [f"https://images.example/{number}?a=1&region=it's" for number in range(3)]
PICTURES = [Picture(BAD, url, LONG, b"\xff\xd8<script>", 0.9, BAD) for url in URLS]


COUNTS = {"both": 1, "only_here": 1, "only_there": 2}
MOVED = {"here": 1, "there": 1, "only_here": 0, "only_there": 0, "moved": 0, "by_source": []}
COMPARISON: dict[str, Any] = {
    **{"here": BAD, "there": BAD, "kinds": [BAD, BAD], "equal": False, "other_parsers": False, "scores": []},
    **{"facts": {}, "provenance": [], "distribution": None, "table": None},
    "entries": {**MOVED, "samples": {"only_here": [], "only_there": [], "moved": []}},
    "pairs": {"pairs": COUNTS, "images": COUNTS},
}
EXAMPLES = {"only_here": PICTURES[:1], "only_there": PICTURES[1:]}


def render_all(mode: Pictures) -> list[str]:
    """The pages on what a training set leaves out, of a comparison and of a search, of the same pictures."""
    left_out = LeftOut(
        training_set="20",
        images=1,
        pairs=1,
        distance=0,
        groups=[Group(PICTURES[0], PICTURES[1:], 2)],
        filtered=[Reason(BAD, 1, PICTURES, BAD, 1)],
        absent=[Reason(BAD, 1, PICTURES)],
        dropped={BAD: 3},
        hosts=[HostCounts(BAD, 3, 1, 2, 1000, 0.5, 1, {BAD: 2})],
    )
    hit = {"rank": 1, "similarity": 0.5, "texts": [LONG], "num_texts": 1, "image_id": "0" * 24, "in_store": True}
    search = {
        **{"query": LONG, "by": "text", "training_set": "20", "model": BAD, "images": 3, "trained_on_this_build": True},
        "hits": [{**hit, "url": url} for url in URLS],
    }
    assert [it["url"] for it in strict(json.dumps(describe_left_out(left_out)))["filtered"][0]["examples"]] == URLS
    return [
        render_left_out(left_out, mode),
        render_comparison(COMPARISON, None, EXAMPLES, mode),
        render_search(search, PICTURES, mode),
    ]


@pytest.mark.parametrize(("mode", "has_bytes"), [("shown", True), ("blurred", True), ("off", False)])
def test_texts_of_a_crawl_are_but_texts_its_pictures_stand_where_shown_and_their_urls_always(
    mode: Pictures, has_bytes: bool
) -> None:
    for page in render_all(mode):
        tree = parse_harmless(page)
        shown = tree.body.text() if tree.body else ""
        assert "{{ 7 * 7 }}" in shown
        assert not {"\u202e", "\x1b", "\u2028", "\ud800"} & set(page)
        assert all(url in shown for url in URLS)
        assert bool(tree.css("img[src^='data:image/jpeg']")) is has_bytes
        assert bool(tree.css(".gallery.blurred")) is (mode == "blurred")
        assert ("METACLIP_PICTURES" in shown) is (mode != "shown")
        assert len(page) < 60_000


@pytest.mark.parametrize(("mode", "blurred"), [("shown", 1), ("blurred", 2), ("off", 0)])
def test_pictures_of_another_deployment_are_never_shown_as_they_are(mode: Pictures, blurred: int) -> None:
    page = parse_harmless(render_comparison(COMPARISON, None, EXAMPLES, mode, foreign=["only_there"]))
    galleries = page.css(".gallery")
    assert len(galleries) == 2
    assert len(page.css(".gallery.blurred")) == blurred
    assert len(galleries[1].css("img")) == (0 if mode == "off" else 2)
    assert ("blurred" in (galleries[1].attributes["class"] or "")) is (mode != "off")
    assert ("of another deployment" in (page.body.text() if page.body else "")) is (mode == "shown")
