"""State what the sweep found, as its numbers bear it: also that balancing did not win, or that nobody knows."""

from collections.abc import Iterable, Sequence

from metaclip_dagster.reporting.html.numbers import number, percent
from metaclip_dagster.reporting.html.text import reveal
from metaclip_dagster.reporting.sweeps.answers import find_difference, is_within
from metaclip_dagster.reporting.sweeps.comparisons import bar_above, find_side_score
from metaclip_dagster.reporting.sweeps.pools import write_pool_findings
from metaclip_dagster.reporting.sweeps.scores import MEAN_TASK, Json, name_metric, sign_points
from metaclip_dagster.reporting.sweeps.tasks import choose_other_tasks
from metaclip_dagster.reporting.sweeps.training_sets import label_set

MAX_NAMED = 12


def write_findings(sweep: Json) -> list[str]:
    """Sentences, the most important first; names in them are written out but not escaped."""
    sentences = []
    for recipe, comparison in zip(sweep["recipes"], sweep["comparisons"], strict=True):
        name = f"{reveal(recipe['recipe'])}, at" if len(sweep["recipes"]) > 1 else "At"
        sentences += _write_comparison(f"{name} {number(recipe['pairs_seen'])} seen pairs", recipe, comparison)
        if comparison["best"] and comparison["control"]:
            sentences += _write_tasks(recipe, comparison, choose_other_tasks(sweep, comparison["task"]))
    if not sentences:
        sentences = ["No cell has been scored yet, so nothing is known of what balancing does."]
    sentences += write_pool_findings(sweep["pools"])
    if sweep["missing"]:
        sentences.append(f"Not there yet ({number(len(sweep['missing']))}): {_list_names(sweep['missing'])}.")
    left_out = [f"{c['model']} on {c['training_set']} {c['not_compared']}" for c in sweep["cells"] if c["not_compared"]]
    left_out += [f"baseline {b['model']} {b['not_compared']}" for b in sweep["baselines"] if b["not_compared"]]
    if left_out:
        sentences.append(f"Kept out of every comparison: {_list_names(left_out, '; ')}.")
    return sentences


def _write_comparison(at: str, recipe: Json, comparison: Json) -> list[str]:
    what = f"{name_metric(comparison['metric'])} on {reveal(comparison['task'])}"
    chance = f"(chance {percent(comparison['chance'])})"
    best, control, online = (comparison[side] for side in ("best", "control", "online"))
    if not control or not best:
        only = control or best or online
        if only is None:
            return [f"{at}, no cell has a score on {reveal(comparison['task'])}."]
        missing = "no balanced cell" if only is control else "no unbalanced control"
        score = f"{label_set(only['training_set'])} scores {percent(only['mean'])} {what} {chance}"
        return [f"{at}, {score}; {missing} is there to compare it with."]
    name = label_set(best["training_set"])
    if not comparison["won"]:
        of_several = f", the best of {comparison['num_finite']}," if comparison["num_finite"] > 1 else ""
        name = f"balancing did not win: {name}{of_several}"
    scores = f"{percent(best['mean'])} {what} against {percent(control['mean'])} unbalanced {chance}"
    parts = [
        f"{percent(of_best)} against {percent(of_control)} on the {part}"
        for part in ("tail", "head")
        if (of_best := _find_mean(recipe, comparison, "best", part)) is not None
        and (of_control := _find_mean(recipe, comparison, "control", part)) is not None
    ]
    by_part = f": {', '.join(parts)}" if parts else ""
    sentences = [f"{at}, {name} scores {scores}{by_part}.", " ".join(_write_certainty(recipe, comparison))]
    if online:
        t = label_set(online["training_set"]).removeprefix("online, ")
        means = {part: _find_mean(recipe, comparison, "online", part) for part in ("tail", "head")}
        parts = [f"{part} {percent(mean)}" for part, mean in means.items() if mean is not None]
        by_part = f" ({', '.join(parts)})" if parts else ""
        sentences.append(f"Online balancing at {t} scores {percent(online['mean'])}{by_part}.")
    return sentences


def _write_certainty(recipe: Json, comparison: Json) -> Iterable[str]:
    best, control, differences = comparison["best"], comparison["control"], [*comparison["differences"].values()]
    num_seeds, spreads = [len(side["seeds"]) for side in (best, control)], [side["spread"] for side in (best, control)]
    num_trained = {row["training_set"]: len(row["seeds"]) for row in recipe["sets"]}
    if not differences:
        yield "The two have no seed in common."
    elif num_seeds != [num_trained[side["training_set"]] for side in (best, control)]:
        yield "Only seeds that both have are compared."
    if max(num_seeds) == 1:
        yield "That is one seed each: no spread is known, and a small difference may be chance."
    else:
        of_seeds = " and ".join(map(str, dict.fromkeys(num_seeds)))
        points = " and ".join(f"{100 * spread:.1f}" for spread in spreads if spread is not None)
        yield f"These are means of {of_seeds} seeds, with a standard deviation of {points} points."
    if len(differences) > 1:
        num_ahead, low, high = sum(d > 0 for d in differences), 100 * min(differences), 100 * max(differences)
        ahead = f"ahead in {num_ahead} of {len(differences)}, by {low:+.1f} to {high:+.1f} points"
        yield f"Seed by seed, {label_set(best['training_set'])} is {ahead}."
    if abs(best["mean"] - control["mean"]) < max(spread or 0 for spread in spreads):
        yield "The difference is smaller than the spread over seeds."
    yield from _write_paired(comparison, comparison["task"], comparison["metric"])
    if comparison["num_finite"] > 1:
        yield f"It is the best of {comparison['num_finite']} values of t, picked by this very score."
    if comparison["near_chance"]:
        bar = percent(bar_above(comparison["chance"]))
        yield f"No score is above {bar}, near enough to chance that their order means little."


def _write_paired(comparison: Json, task: str, metric: str) -> Iterable[str]:
    """How sure the difference is, whatever test images had been drawn; of top-1 only."""
    row = find_difference(comparison, comparison["best"]["training_set"], task)
    if row is None or metric != "acc1":
        return
    difference, low, high = map(sign_points, (row["difference"], *row["interval"]))
    images = f"On the same {number(row['num_images'])} test images the difference is {difference} points"
    if row["seeds"] != comparison["best"]["seeds"]:
        images += f" at seed {' and '.join(map(str, row['seeds']))} alone, as the others' answers were not kept"
    turned = ", which holds 0: other images could turn it" if is_within(row) else ""
    yield f"{images}; its 95% interval over test images is {low} to {high}{turned}."


def _write_tasks(recipe: Json, comparison: Json, tasks: Sequence[tuple[str, str]]) -> Iterable[str]:
    for task, metric in tasks:
        best, control = (find_side_score(recipe, comparison[s], task, "all", metric) for s in ("best", "control"))
        if best and control:
            scores = f"{percent(best['mean'])} against {percent(control['mean'])} unbalanced"
            name = "In the mean of tasks" if task == MEAN_TASK else f"On {reveal(task)}"
            says = f"{name}: {scores}, {name_metric(metric)} (chance {percent(best['chance'])})."
            yield " ".join([says, *_write_paired(comparison, task, metric)])


def _find_mean(recipe: Json, comparison: Json, side: str, part: str) -> float | None:
    score = find_side_score(recipe, comparison[side], comparison["task"], part, comparison["metric"])
    return None if score is None else float(score["mean"])


def _list_names(names: Sequence[str], between: str = ", ") -> str:
    more = f" and {number(len(names) - MAX_NAMED)} more" if len(names) > MAX_NAMED else ""
    return between.join(reveal(name) for name in names[:MAX_NAMED]) + more
