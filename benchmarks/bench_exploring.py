"""Build the what-if page of a pool of 500,000 made-up entries, and move its slider in Chromium.

python -m benchmarks.bench_exploring [--num-entries N] [--pairs N] [--json]

Entries are the names of WordNet, then pairs of their words, no two alike. Their counts are those of a pool of the
paper's size: by Zipf's law with 5.6 billion matches in all, 114,000 entries without one; rungs are 20,000, 170,000 and
inf. What each rung keeps of an entry, and which bins the pairs fall in, is drawn at random: the page does not care. It
has as many examples and pictures as any page, each picture of noise with nearly as many bytes as any may have. A move
is timed in the page from the event to the end of layout, for 200 moves up and down; a search is of three letters.
Chromium must be on the path. Memory of the browser is not measured.
"""

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from benchmarks.inputs import sample_names
from benchmarks.measure import Row, options, print_rows, row
from metaclip_dagster.reporting.exploring.binning import NUM_SHOWN, choose_stops
from metaclip_dagster.reporting.exploring.entries import pack_entries
from metaclip_dagster.reporting.exploring.page import render_exploration
from metaclip_dagster.reporting.html.thumbnails import Picture, encode_thumbnail
from metaclip_dagster.schemas import ENTRY_COUNTS
from tests.browser import Browser, open_browser

RUNGS = {"20000": 20_000.0, "170000": 170_000.0, "inf": np.inf}
MATCHES, WITHOUT_MATCH, NUM_PICTURES = 5_600_000_000, 0.228, 120
MOVE = """(() => {
  const slider = document.querySelector("#a .slider"), times = [];
  for (let i = 0; i < 200; i++) {
    slider.value = (i * 37) % slider.max;
    const began = performance.now();
    slider.dispatchEvent(new Event("input"));
    document.body.offsetHeight;
    times.push(performance.now() - began);
  }
  return times;
})()"""
SEARCH = """(() => {
  const query = document.querySelector("#query"), began = performance.now();
  query.value = "ing";
  query.dispatchEvent(new Event("input"));
  document.body.offsetHeight;
  return performance.now() - began;
})()"""


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--num-entries", type=int, default=500_000)
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        print_rows(measure(Path(folder), args.num_entries), args.json)


def measure(folder: Path, num_entries: int) -> list[Row]:
    """Give the rows."""
    page, sizes = folder / "explore.html", build_page(num_entries)
    page.write_text(sizes.pop("page"), "utf-8")
    listed = sizes.pop("listed")
    with open_browser(folder / "profile") as browser:
        seconds = _open(browser, page)
        moves, searches = np.array(browser.run(MOVE)), [browser.run(SEARCH) for _ in range(5)]
        assert browser.console == []
    described = f"{num_entries:,} made-up entries, {NUM_PICTURES} pictures"
    rows = [
        row("the page", page.stat().st_size / 1e6, "MB", 5.0, 5e6 / page.stat().st_size),
        *(row(f"of which {name}", size / 1e6, "MB") for name, size in sizes.items()),
        row("entries that can be looked up", listed, "entries", num_entries, listed / num_entries),
        row("a move of the slider, median", float(np.median(moves)), "ms", 100.0, 100 / float(np.median(moves))),
        row("a move of the slider, the slowest of 200", moves.max(), "ms", 100.0, 100 / moves.max()),
        row("a search of three letters, median", float(np.median(searches)), "ms"),
        row("from opening until everything answers", seconds, "s"),
    ]
    return [{**one, "input": described} for one in rows]


def build_page(num_entries: int) -> dict[str, Any]:
    """The page, and the sizes of its large parts in bytes."""
    draw = np.random.default_rng(0)
    counts = _make_counts(num_entries, draw)
    number = counts["entry_count"].to_numpy().astype(np.int64)
    stops = choose_stops(int(number.max()), RUNGS.values())
    of_entry, before = np.zeros((num_entries, len(RUNGS)), np.int64), np.zeros(num_entries, np.int64)
    for rung, t in enumerate(RUNGS.values()):
        over = np.maximum(number - t, 0) * draw.beta(1, 8, num_entries) if np.isfinite(t) else number
        now = np.minimum(number, np.maximum(before, np.minimum(number, t) + over)).astype(np.int64)
        of_entry[:, rung], before = now - before, now
    examples = [_make_example(counts, i, len(stops), draw) for i in range(NUM_SHOWN)]
    images = [pair["image_id"] for example in examples for pair in example["pairs"]][:NUM_PICTURES]
    entries = pack_entries(counts, of_entry, {"en": [t for t in RUNGS.values() if t < np.inf]})
    report = {
        "pool": "made up",
        "balanced_to": "its own counts",
        "rungs": {t: stops.index(value) for t, value in RUNGS.items()},
        "stops": [None if t == np.inf else t for t in stops],
        "languages": {"en": _make_language(number, stops, draw)},
        **{name: draw.integers(0, 10**7, len(stops)).tolist() for name in ("images", "to_fetch")},
        "bytes_an_image": 90_000.0,
        "training": {"pairs_to_see": 12_800_000_000, "architectures": [{"architecture": "B", "seconds_a_pair": 1e-4}]},
        "entries": {
            "total": num_entries,
            "matched": int((number > 0).sum()),
            "listed": entries.num_listed,
            "most_unlisted": entries.most_unlisted,
        },
        "examples": examples,
    }
    pictures = {image: Picture(image, thumbnail=_make_picture(draw)) for image in images}
    page = render_exploration(report, entries.text, pictures, mode="shown")
    of_pictures = sum(4 * len(picture.thumbnail or b"") / 3 for picture in pictures.values())
    return {"page": page, "listed": entries.num_listed, "entries": len(entries.text), "pictures": of_pictures}


def _open(browser: Browser, page: Path) -> float:
    browser.open(page.as_uri(), width=1200)
    browser.until("document.body?.dataset.ready")
    return float(browser.run("performance.now()")) / 1000


def _make_counts(num_entries: int, draw: np.random.Generator) -> pa.Table:
    names = sample_names()[:num_entries]
    words, chooser, known = [w for name in names for w in name.split()], random.Random(0), {*names}
    while len(names) < num_entries:
        name = f"{chooser.choice(words)} {chooser.choice(words)}"
        if name not in known:
            known.add(name)
            names.append(name)
    matched = round(num_entries * (1 - WITHOUT_MATCH))
    by_rank = 1 / np.arange(1, matched + 1) ** 1.05
    number = draw.poisson(MATCHES * by_rank / by_rank.sum())
    number = draw.permutation(np.append(number, np.zeros(num_entries - matched, np.int64)))
    columns = [range(num_entries), names, ["en"] * num_entries, number, number, [[]] * num_entries]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, ENTRY_COUNTS, strict=True)], ENTRY_COUNTS)


def _make_language(number: npt.NDArray[np.int64], stops: list[float], draw: np.random.Generator) -> dict[str, Any]:
    at, matched = np.searchsorted(stops, number[number > 0]), number[number > 0]
    tails = {
        "tail_entries": np.bincount(at, minlength=len(stops)),
        "tail_matches": np.bincount(at, matched, len(stops)),
    }
    drawn = {name: draw.integers(0, 10**7, len(stops)) for name in ("pairs", "matches", "present")}
    columns = {name: column.astype(int).tolist() for name, column in (drawn | tails).items()}
    return {"entries": len(matched), "t": [None if t == np.inf else t for t in stops], **columns}


def _make_example(counts: pa.Table, i: int, num_stops: int, draw: np.random.Generator) -> dict[str, Any]:
    texts = [f"what a page may say of an image {draw.integers(10**9)} and more of it " * 2 for _ in range(4)]
    pairs = [
        {
            "image_id": f"{i:012d}{k:012d}",
            "text": text,
            "url": f"https://images.example/{draw.integers(10**12)}/{draw.integers(10**12)}.jpg",
            "admitted_at": float(draw.uniform(0, 1e6)),
            "stop": int(draw.integers(num_stops)),
        }
        for k, text in enumerate(texts)
    ]
    row = counts.select(["entry", "language", "entry_count"]).slice(i, 1).to_pylist()[0]
    return {**row, "joining": draw.integers(0, 10**5, num_stops).tolist(), "pairs": pairs}


def _make_picture(draw: np.random.Generator) -> bytes:
    noise = draw.integers(0, 256, (24, 24, 3), np.uint8)
    return encode_thumbnail(Image.fromarray(noise).resize((96, 96)))


if __name__ == "__main__":
    main()
