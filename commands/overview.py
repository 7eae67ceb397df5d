"""Draw docs/images/overview.png from the demo's lake: what a crawl has, how it is cut at t, and what is kept."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.queries.pictures import read_pictures
from metaclip_dagster.reporting.cards.counts import count_subset
from metaclip_dagster.reporting.html.canvas import AFTER, BEFORE, DASHED, INK, MARK, draw_curve, style_axes, to_png
from metaclip_dagster.reporting.html.numbers import percent, shorten_number
from metaclip_dagster.reporting.html.text import reveal
from resources.deployments import Deployment, deployment
from resources.files.local import create
from resources.lake.resource import Lake

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "overview.png"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "RESULTS.md"
WIDTH, HEIGHT = 1660, 690  # pixels, twice what GitHub shows
T, HEAD = "20", "skin tone"
COLUMNS, ROWS, CELL = 7, 5, 66
LEFT, MIDDLE, RIGHT = 30, 615, 1168


def draw_overview(where: Deployment) -> bytes:
    """The picture as PNG, of a lake in which the demo has made subsets and images.

    Its scores are those of benchmarks/RESULTS.md, means of three seeds, for a demo trains one.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  # heavy: only for who plots
    from matplotlib.lines import Line2D  # noqa: PLC0415

    figure, lake = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, facecolor="white"), Lake(root=where.lake)
    _draw_side(figure, LEFT, "inf", lake, where.images, colour=BEFORE, title="What a crawl has")
    _draw_side(figure, RIGHT, T, lake, where.images, colour=AFTER, title="What balancing keeps")
    _draw_counts(figure, lake)
    for x in (LEFT + COLUMNS * CELL + 14, RIGHT - 66):
        _write(figure, x, 280, "➜", 34, color=MARK)
    figure.add_artist(Line2D((LEFT / WIDTH, 1 - LEFT / WIDTH), 2 * [1 - 548 / HEIGHT], color="#D8DCE1", linewidth=1.5))
    lines = "The same small CLIP, trained on each,\nsees as many pairs, and then names\ndrawings that it never saw."
    _write(figure, MIDDLE + 24, 662, lines, 17, linespacing=1.5)
    return to_png(figure)


def read_score(t: str, part: str) -> tuple[float, float]:
    """Mean and standard deviation, in percent, of a set's top-1 on `twemoji`, as benchmarks/RESULTS.md has them."""
    row = re.compile(rf"^\| {t}: twemoji {part} top-1, s\.d\. ([\d.]+) \| ([\d.]+) \|", re.MULTILINE)
    [(spread, mean)] = row.findall(RESULTS.read_text("utf-8"))
    return float(mean), float(spread)


def _draw_side(figure: Any, x: int, t: str, lake: Lake, images: str, *, colour: str, title: str) -> None:
    """Some pairs of D(t), how many are of the head's subject, and what a model trained on them scores."""
    pairs = lake.read("subsets", [t])
    subject = pc.match_substring(pairs["text"], HEAD, ignore_case=True)
    share = pc.mean(subject.cast(pa.float64())).as_py()
    _write(figure, x, 46, title, 25, weight="bold")
    _write(figure, x, 84, f"{pairs.num_rows:,} image–text pairs; some, at random:", 16, color=MARK)
    text, drawings = _read_drawings(lake, images, pairs.sort_by("pair_id"))
    for number, drawing in enumerate(drawings):
        row, column = divmod(number, COLUMNS)
        figure.figimage(drawing, x + column * CELL, HEIGHT - 104 - (row + 1) * CELL)
    _write(figure, x, 466, f"The first: “{reveal(text, 30)}”", 14, color=MARK)
    _write(figure, x, 502, f"{percent(share)} of the texts say “{HEAD}”", 17, color=colour, weight="bold")
    score, spread = read_score(t, "all")
    _write(figure, x, 618, f"{score:.1f}% right", 30, color=colour, weight="bold")
    _write(figure, x + 262, 616, f"± {spread:.1f}, three seeds", 15, color=MARK)
    _write(figure, x, 662, f"{read_score(t, 'tail')[0]:.1f}% of what is rare", 19, color=colour)


def _read_drawings(lake: Lake, images: str, pairs: pa.Table) -> tuple[str, list[Any]]:
    """The first drawings of pairs in the order of their ids, which are hashes, and the text of the very first."""
    from PIL import Image  # noqa: PLC0415  # heavy: only for who plots

    texts = {row["image_id"]: row["text"] for row in pairs.slice(0, 3 * COLUMNS * ROWS).to_pylist()}
    there = [(it.text, it.thumbnail) for it in read_pictures(lake, images, texts).values() if it.thumbnail]
    drawings = [Image.open(io.BytesIO(thumbnail)) for _, thumbnail in there[: COLUMNS * ROWS]]
    return there[0][0], [np.asarray(drawing.resize((CELL - 8, CELL - 8))) for drawing in drawings]


def _draw_counts(figure: Any, lake: Lake) -> None:
    """Pairs of each entry by rank, in the pool and in D(t): the head is cut to about t, the tail stays."""
    counts = lake.read("entry_counts")
    before = counts["entry_count"].to_numpy()
    after = count_subset(lake.stream("subsets", [T])(), len(before))
    _write(figure, MIDDLE, 46, "Each word’s pairs, cut at t", 25, weight="bold")
    _write(figure, MIDDLE, 84, f"one number a pair serves every t; here t = {T}", 16, color=MARK)
    axes = figure.add_axes((MIDDLE / WIDTH + 0.035, 1 - 466 / HEIGHT, 0.235, 350 / HEIGHT))
    style_axes(axes, "", "")
    for numbers, colour, wide in ((before, BEFORE, True), (after, AFTER, False)):
        ranked = np.sort(numbers[numbers > 0])[::-1]
        draw_curve(axes, np.arange(1, len(ranked) + 1), ranked, color=colour, wide=wide)
    axes.set(xscale="log", yscale="log", xlim=(1, 3e3), ylim=(0.8, 1e5))
    axes.xaxis.set_major_formatter(lambda value, _: shorten_number(value))
    axes.yaxis.set_major_formatter(lambda value, _: shorten_number(value))
    axes.tick_params(labelsize=15)
    axes.axhline(float(T), color=MARK, **DASHED)
    for text, at, colour in (
        ("as crawled", (25, 5e3), BEFORE),
        ("after", (5, 110), AFTER),
        ("the tail is kept whole", (5, 2.5), INK),
        (f"t = {T}", (1.15, 24), MARK),
    ):
        axes.text(*at, text, fontsize=16, color=colour)
    _write(figure, MIDDLE + 58, 516, "words by rank, and how many pairs each has", 14, color=MARK)


def _write(figure: Any, x: float, y: float, text: str, size: float, **look: Any) -> None:
    """Write text whose line stands so many pixels from the left and from the top."""
    figure.text(x / WIDTH, 1 - y / HEIGHT, text, **{"fontsize": size, "color": INK, **look})


if __name__ == "__main__":
    with create(PICTURE) as file:
        file.write(draw_overview(deployment()))
