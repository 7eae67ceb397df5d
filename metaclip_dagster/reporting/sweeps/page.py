"""The sweep as one page that needs nothing else, led by what was found."""

from collections.abc import Mapping
from typing import Any

from metaclip_dagster.reporting.html.layout import figure, page
from metaclip_dagster.reporting.html.markup import Html, element, joined
from metaclip_dagster.reporting.html.numbers import duration, number, percent
from metaclip_dagster.reporting.html.text import visible
from metaclip_dagster.reporting.sweeps import sections as sweep_sections
from metaclip_dagster.reporting.sweeps.comparisons import score_at
from metaclip_dagster.reporting.sweeps.findings import label
from metaclip_dagster.reporting.sweeps.plots import SCORES_HEIGHT
from metaclip_dagster.reporting.sweeps.scores import words

Found = Mapping[str, Any]  # parts of a sweep, whose shape `describe_sweep` fixes

_SCORES = (
    "Score over t. Circles are balanced at t, the square is the unbalanced control, open diamonds redraw the subset at "
    "every epoch. Bars are one standard deviation over seeds, pale points single seeds. Beneath: pairs in D(t)."
)
_LOSSES = (
    "Contrastive loss while training. Each set's loss is on its own pairs: an unbalanced set repeats its head, so a "
    "lower loss there is no better model."
)
_READ = (
    "A cell is one model trained on one training set. All cells that are compared saw equally many pairs, so a smaller "
    "set was seen more often. ± is the sample standard deviation (n − 1) over seeds, which start from other weights "
    "and take the pairs in another order; the draw of the subset is the same for all of them.",
    "t = inf is the whole pool, the unbalanced control. Online balancing holds the whole pool too and draws the subset "
    "anew at every epoch with the same probabilities, so that the head's pairs take turns.",
    "Chance is what guessing gives in the mean. Head and tail are the task's own parts, which its folder names.",
)
_PAPER = "Xu et al. 2023, Demystifying CLIP Data, arXiv 2309.16671, sections 3.4 and A.2."
_COST = (
    "From the manifests of what is there now, of the pool that is compared; what was spent on another is left out. "
    "Seconds of shards add up, so where several ran side by side the wall "
    "seconds are more than the clock showed. The report itself is not in it."
)


def render_sweep(sweep: Found, plots: Mapping[str, bytes]) -> str:
    """The page of one sweep; `plots` are from `plot_sweep`, by name."""
    lead, *more = sweep["findings"]
    sections = [
        ("scores", "Scores over t", joined([*_figures(plots, "scores"), sweep_sections.summary(sweep)])),
        ("read", "How to read this", _read()),
        ("tasks", "Every task", sweep_sections.tasks(sweep)),
        ("sets", "Training sets", sweep_sections.sets(sweep)),
        ("classes", "Classes that balancing helped and hurt", sweep_sections.classes(sweep)),
        ("training", "Training", joined([*_figures(plots, "losses"), sweep_sections.cells(sweep)])),
        ("cost", "Cost", joined([element("p", _COST), sweep_sections.costs(sweep)])),
        ("provenance", "What made this", sweep_sections.provenance(sweep)),
    ]
    return page(
        kind="Sweep · MetaCLIP balancing",
        title="What balancing does to zero-shot scores",
        lead=joined([element("p", lead, class_="lead"), *(element("p", said) for said in more)]),
        tiles=_tiles(sweep),
        sections=sections,
    )


def _tiles(sweep: Found) -> list[tuple[str, str, str]]:
    compared = sum(cell["not_compared"] is None for cell in sweep["cells"])
    missing, aside = len(sweep["missing"]), len(sweep["cells"]) - compared
    tiles = [("Cells compared", number(compared), f"{number(missing)} missing, {number(aside)} kept out")]
    if sweep["costs"]:
        spent = sum(stage["cpu_seconds"] for stage in sweep["costs"])
        tiles.append(("CPU time", duration(spent), f"in {number(len(sweep['costs']))} stages"))
    found = next((found for found in sweep["comparisons"] if found["best"] and found["control"]), None)
    return tiles if found is None else [*_headline(sweep, found), *tiles]


def _headline(sweep: Found, found: Found) -> list[tuple[str, str, str]]:
    recipe = next(recipe for recipe in sweep["recipes"] if recipe["recipe"] == found["recipe"])
    told = []
    for part in ("all", "tail"):
        sides = [found[side] for side in ("control", "best")]
        scores = [score_at(recipe, side, found["task"], part, found["metric"]) for side in sides]
        if all(scores):
            before, after = (percent(score["mean"]) for score in scores if score)
            name = words(found["metric"]).capitalize() + ("" if part == "all" else f" on the {part}")
            more = f"unbalanced → {label(sides[1]['training_set'])}; chance {percent(found['chance'])}"
            told.append((f"{name}, {visible(found['task'])}", f"{before} → {after}", more))
    return told


def _figures(plots: Mapping[str, bytes], kind: str) -> list[Html]:
    caption, height = (_SCORES, SCORES_HEIGHT) if kind == "scores" else (_LOSSES, 500)
    drawn = []
    for name in plots:
        if name.split(" ", 1)[0] == kind:
            told = f"{visible(name.split(' ', 1)[-1])}. {caption}"
            drawn.append(figure(plots[name], told, alt=told, height=height))
    return drawn


def _read() -> Html:
    return joined([*(element("p", said) for said in _READ), element("p", _PAPER, class_="note")])
