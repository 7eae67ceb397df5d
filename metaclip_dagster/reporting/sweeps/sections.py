"""The sweep page's sections: scores by task, training sets, classes, training and cost."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from metaclip_dagster.reporting.html.markup import Html, bars, data, element, joined, key, table
from metaclip_dagster.reporting.html.numbers import duration, number, percent
from metaclip_dagster.reporting.html.text import visible
from metaclip_dagster.reporting.sweeps.findings import label
from metaclip_dagster.reporting.sweeps.scores import score_of, words
from metaclip_dagster.reporting.sweeps.tables import chance_of, shown, sweep_table

Found = Mapping[str, Any]  # parts of a sweep, whose shape `describe_sweep` fixes

MAX_ROWS = 200
MAX_NOTE = 1000
MAX_ON_ONE_LINE = 24


def summary(sweep: Found) -> Html:
    """A row a training set, with the task's own words under it."""
    head, *rows = sweep_table(sweep)
    if not rows:
        return element("p", "No training set is there yet.", class_="note")
    words = 2 if len(sweep["recipes"]) > 1 else 1
    first = task_note(sweep["tasks"][0]) if sweep["tasks"] else ""
    named = ([*map(_name, row[:words]), *row[words:]] for row in rows)
    return joined([table(head, named, words=words), first])


def task_note(task: Found) -> Html:
    """What the task says of itself, to stand beside its scores."""
    if not task["note"]:
        return Html("")
    return element("p", "The task ", data(task["task"]), " says of itself: ", _with_code(task["note"]), class_="note")


def tasks(sweep: Found) -> Html:
    """Every task's scores, the first open and the others to be opened."""
    if not sweep["tasks"]:
        return element("p", "No task has been scored yet.", class_="note")
    first, *others = sweep["tasks"]
    more = [element("details", element("summary", data(task["task"])), _task(sweep, task)) for task in others]
    return joined([element("h3", data(first["task"])), _task(sweep, first), *more])


def sets(sweep: Found) -> Html:
    """Pairs and images of every training set, what failed, and what the tail has of the matches."""
    if not sweep["sets"]:
        return element("p", "None is there yet.", class_="note")
    apart = [
        element("p", "Of another pool, ", data(pool["described"]), ": ", data(", ".join(pool["training_sets"])), ".")
        for pool in sweep["pools"]
        if not pool["compared"]
    ]
    rows = [
        [
            _name(row["label"]),
            *(number(row[name]) for name in ("pairs_in_subset", "pairs", "images", "images_failed")),
            *(percent(row[name]) for name in ("share_failed", "tail_before", "tail_after")),
            bars(row["tail_before"], row["tail_after"]),
        ]
        for row in sweep["sets"]
    ]
    numbers = ["Pairs in D(t)", "Pairs with image", "Images", "Failed", "Share", "Tail before", "Tail after", ""]
    told = element("p", "Bars: share of all matches that the tail has, ", key("before"), ", ", key("after"), ".")
    reasons = [
        [_name(row["label"]), data(reason.replace("_", " ")), number(n)]
        for row in sweep["sets"]
        for reason, n in row["failed"].items()
    ]
    failed = element(
        "details", element("summary", "Why images failed"), table(["Set", "Why", "Images"], reasons, words=2)
    )
    return joined([told, table(["Training set", *numbers], rows), failed if reasons else "", *apart])


def classes(sweep: Found) -> Html:
    """The classes that balancing helped and hurt most."""
    found = sweep["classes"]
    if not found:
        return element("p", "No two cells can be compared class by class yet.", class_="note")
    told = element(
        "p",
        f"With {label(found['training_set'])}, {number(found['num_better'])} classes of ",
        data(found["task"]),
        f" score more than unbalanced, {number(found['num_worse'])} less and {number(found['num_same'])} the same "
        "(top-1, mean over seeds). With few images a class, single classes tell little.",
    )
    lists = [
        element("div", element("h3", name), _class_rows(found[side]))
        for side, name in (("helped", "Helped most"), ("hurt", "Hurt most"))
    ]
    return joined([told, element("div", *lists, class_="pair")])


def cells(sweep: Found) -> Html:
    """Every cell that is there, and those that are not."""
    rows = [
        [
            _name(cell["training_set"]),
            _name(cell["model"]),
            *(number(cell[name]) for name in ("seed", "pairs_seen", "budget", "loss")),
            cell["not_compared"] or "compared",
        ]
        for cell in sweep["cells"][:MAX_ROWS]
    ]
    headings = ["Training set", "Model", "Seed", "Pairs seen", "Budget", "Last loss", ""]
    listed = element("ul", *(element("li", data(name)) for name in sweep["missing"][:MAX_ROWS]))
    missing = [element("h3", "Missing"), listed] if sweep["missing"] else []
    return joined(
        [table(headings, rows, words=2) if rows else element("p", "None is there yet.", class_="note"), *missing]
    )


def costs(sweep: Found) -> Html:
    """CPU and wall seconds by stage."""
    if not sweep["costs"]:
        return element("p", "No cost was reported.", class_="note")
    dearest = sweep["costs"][0]["cpu_seconds"] or 1
    rows = [
        [
            data(s["stage"]),
            *map(duration, (s["cpu_seconds"], s["wall_seconds"])),
            bars(s["cpu_seconds"] / dearest, None),
        ]
        for s in sweep["costs"]
    ]
    single = [
        [data(s["stage"]), data(p["partition"]), *map(duration, (p["cpu_seconds"], p["wall_seconds"]))]
        for s in sweep["costs"]
        for p in s["partitions"]
    ]
    each = table(["Stage", "Partition", "CPU", "Wall"], single[:MAX_ROWS], words=2)
    details = element("details", element("summary", "By partition"), each)
    return joined([table(["Stage", "CPU", "Wall", ""], rows), details])


def provenance(sweep: Found) -> Html:
    """What made all this."""
    rows = [[data(name), data(value)] for name, value in sweep["provenance"].items()]
    return table(["What", "Version"], rows, words=2) if rows else element("p", "Not reported.", class_="note")


def _task(sweep: Found, task: Found) -> Html:
    columns = [("all", metric) for metric in task["metrics"]]
    columns += [(part, task["metric"]) for part in task["parts"] if part != "all"]
    names = [words(metric) if part == "all" else f"{words(metric)}, {part}" for part, metric in columns]
    several = len(sweep["recipes"]) > 1

    def cells_of(scores: Sequence[Found]) -> list[str]:
        return [shown(score_of(scores, task["task"], *column)) for column in columns]

    rows: list[list[object]] = [
        [_name((f"{recipe['recipe']}, " if several else "") + label(row["training_set"])), *cells_of(row["scores"])]
        for recipe in sweep["recipes"]
        for row in recipe["sets"]
    ]
    rows += [[joined(["baseline ", data(b["model"])]), *cells_of(b["scores"])] for b in sweep["baselines"]]
    rows.append(["chance", *(percent(chance_of(sweep, task["task"], *column)) for column in columns)])
    choice = f", {number(task['num_classes'])} names to choose from" if task["num_classes"] else ""
    size = f"{number(task['num_images'])} images{choice}."
    return joined([element("p", size), table(["Training set", *map(data, names)], rows), task_note(task)])


def _class_rows(rows: Sequence[Found]) -> Html:
    if not rows:
        return element("p", "None.", class_="note")
    cells = [
        [
            element("span", data(row["class_name"]), class_="entry"),
            data(row["part"] or "–"),
            percent(row["unbalanced"]),
            percent(row["balanced"]),
        ]
        for row in rows
    ]
    return table(["Class", "Part", "Unbalanced", "Balanced"], cells, words=2)


def _with_code(text: str) -> Html:
    """The text, cut, with what stands between backticks as code."""
    parts = re.split(r"`([^`]+)`", visible(text, MAX_NOTE))
    return element("bdi", *(element("code", part) if at % 2 else part for at, part in enumerate(parts)))


def _name(text: str) -> Html:
    """A name on one line, unless it is so long that the numbers beside it would be pushed out of a narrow page."""
    return element("span", data(text), class_="name" if len(text) <= MAX_ON_ONE_LINE else None)
