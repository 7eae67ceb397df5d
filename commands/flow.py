"""Draw docs/images/flow.svg from the graph: the way of a pair through the main assets, and what each is partitioned by.

.venv/bin/python -m commands.flow
"""

from pathlib import Path
from typing import Any

import dagster as dg

from definitions import bind
from resources.deployments import read_deployment

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "flow.svg"
WIDTH, HEIGHT, STEP, ROW, MARGIN = 150, 58, 184, 130, 48  # pixels of a box, from box to box, and around them

PLACES = {
    "entries": (1, 0, "the list that is searched"),
    "wordnet_synsets": (2, 0, "names of WordNet"),
    "wikipedia_titles": (3, 0, "titles, by views"),
    "wikipedia_unigrams": (4, 0, "words, by count"),
    "wikipedia_bigrams": (5, 0, "pairs of words"),
    "pairs": (0, 1, "images with a text"),
    "matches": (1, 1, "entries in each text"),
    "exclusions": (2, 1, "twice, taken down"),
    "entry_counts": (3, 1, "pairs of each entry"),
    "admissions": (4, 1, "the t of each pair"),
    "subsets": (5, 1, "D(t)"),
    "data_cards": (6, 2, "what t did, as a page"),
    "images": (5, 2, "fetched, in tars"),
    "training_sets": (4, 2, "what a model sees"),
    "checkpoints": (3, 2, "trained CLIPs"),
    "scores": (2, 2, "zero-shot accuracy"),
    "sweep": (1, 2, "all t side by side"),
}
"""Column, row and a few words of each asset that is drawn."""

COLOURS = {
    dg.DynamicPartitionsDefinition: ("a partition for each snapshot", "#CFE5F5"),
    dg.StaticPartitionsDefinition: ("for each t", "#F8DEC9"),
    dg.MultiPartitionsDefinition: ("for each t and model", "#D3EBDD"),
    type(None): ("made once", "#E3E6EA"),
}
"""What a box's colour says, by the kind of its asset's partitions."""


def draw_flow() -> str:
    """The picture as SVG, with the arrows and partitions that the sample's graph has."""
    graph = bind(read_deployment({})).get_repository_def().asset_graph
    arrows, boxes = list[str](), list[str]()
    for name, (column, row, words) in PLACES.items():
        node = graph.get(dg.AssetKey(name))
        arrows += [_draw_arrow(PLACES[parent], PLACES[name]) for parent in sorted(_list_parents(graph, name))]
        x, y = _locate(column, row)
        boxes += [
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8"'
            f' fill="{COLOURS[type(node.partitions_def)][1]}"/>',
            f'<text x="{x + WIDTH // 2}" y="{y + 25}" class="name">{name}</text>',
            f'<text x="{x + WIDTH // 2}" y="{y + 45}">{words}</text>',
        ]
    x, y = _locate(0, 3)
    for words, colour in COLOURS.values():
        boxes += [f'<rect x="{x}" y="{y - 30}" width="16" height="16" rx="3" fill="{colour}"/>']
        boxes += [f'<text x="{x + 24}" y="{y - 17}" class="key">{words}</text>']
        x += 60 + 7 * len(words)
    return "\n".join([_HEAD, *arrows, *boxes, "</svg>", ""])


def _list_parents(graph: Any, name: str) -> set[str]:
    """What an asset reads of what is drawn, but for what reaches it through something else that it reads."""
    parents = {key.to_user_string() for key in graph.get(dg.AssetKey(name)).parent_keys} & PLACES.keys()
    further = [_list_ancestors(graph, parent) for parent in parents]
    return parents.difference(*further)


def _list_ancestors(graph: Any, name: str) -> set[str]:
    parents = {key.to_user_string() for key in graph.get(dg.AssetKey(name)).parent_keys} & PLACES.keys()
    return parents.union(*(_list_ancestors(graph, parent) for parent in parents))


def _locate(column: int, row: int) -> tuple[int, int]:
    return MARGIN + STEP * column, MARGIN + ROW * row


def _draw_arrow(start: tuple[int, int, str], end: tuple[int, int, str]) -> str:
    """Straight between neighbours, in an arc over what stands between, and down or up from row to row."""
    (x0, y0), (x1, y1) = _locate(*start[:2]), _locate(*end[:2])
    if y0 == y1 and abs(x0 - x1) == STEP:
        ends = (x0 + WIDTH, x1 - 6) if x0 < x1 else (x0, x1 + WIDTH + 6)
        path = f"M{ends[0]},{y0 + HEIGHT // 2} H{ends[1]}"
    elif y0 == y1:
        high = y0 - 12 - abs(x0 - x1) // 20
        path = f"M{x0 + WIDTH // 2},{y0} C{x0},{high} {x1 + WIDTH},{high} {x1 + WIDTH // 2},{y1 - 6}"
    else:
        down, x0, x1 = y0 < y1, x0 + WIDTH // 2, x1 + WIDTH // 2
        y0, y1 = (y0 + HEIGHT, y1 - 6) if down else (y0, y1 + HEIGHT + 6)
        path = f"M{x0},{y0} C{x0},{(y0 + y1) // 2} {x1},{(y0 + y1) // 2} {x1},{y1}"
    return f'<path d="{path}" marker-end="url(#tip)"/>'


_SIZE = f"{2 * MARGIN + 6 * STEP + WIDTH} {MARGIN + 3 * ROW}"
_HEAD = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE}" role="img">
<title>Assets and what each reads: from lists of entries and snapshots to subsets, images, models and scores</title>
<style>text {{ font: 13px sans-serif; fill: #1F2328; text-anchor: middle }}
.name {{ font-weight: 600; font-size: 15px }} .key {{ text-anchor: start }}
path {{ fill: none; stroke: #8A929B; stroke-width: 1.4 }}</style>
<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="2" refY="4" orient="auto">
<path d="M0,0 L8,4 L0,8 z" style="fill: #8A929B; stroke: none"/></marker></defs>
<rect width="100%" height="100%" fill="white"/>"""


if __name__ == "__main__":
    PICTURE.write_text(draw_flow(), "utf-8")
