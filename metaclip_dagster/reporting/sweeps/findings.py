"""What the sweep found, in sentences that its numbers bear: also that balancing did not win, or that nobody knows."""

from collections.abc import Mapping, Sequence
from typing import Any

from metaclip_dagster.reporting.html.numbers import number, percent
from metaclip_dagster.reporting.html.text import reveal
from metaclip_dagster.reporting.sweeps.cells import set_t
from metaclip_dagster.reporting.sweeps.comparisons import CONTROL, bar_above, score_at
from metaclip_dagster.reporting.sweeps.pools import pool_findings
from metaclip_dagster.reporting.sweeps.scores import MEAN_TASK, tasks_beside, words

Found = Mapping[str, Any]  # parts of a sweep, whose shape `describe_sweep` fixes

MAX_NAMED = 12


def findings(sweep: Found) -> list[str]:
    """Sentences, the most important first; names in them are made visible but not escaped."""
    told = []
    for recipe, found in zip(sweep["recipes"], sweep["comparisons"], strict=True):
        name = f"{reveal(recipe['recipe'])}, at" if len(sweep["recipes"]) > 1 else "At"
        told += _of_recipe(f"{name} {number(recipe['pairs_seen'])} seen pairs", recipe, found)
        if found["best"] and found["control"]:
            told += _other_tasks(recipe, found, tasks_beside(sweep, found["task"]))
    if not told:
        told = ["No cell has been scored yet, so nothing is known of what balancing does."]
    told += pool_findings(sweep["pools"])
    if sweep["missing"]:
        told.append(f"Not there yet ({number(len(sweep['missing']))}): {_listed(sweep['missing'])}.")
    aside = [f"{c['model']} on {c['training_set']} {c['not_compared']}" for c in sweep["cells"] if c["not_compared"]]
    aside += [f"baseline {b['model']} {b['not_compared']}" for b in sweep["baselines"] if b["not_compared"]]
    return [*told, f"Kept out of every comparison: {_listed(aside, '; ')}."] if aside else told


def label(training_set: str) -> str:
    """A training set in words.

    >>> label("20000"), label("inf"), label("online-20")
    ('t = 20,000', 'unbalanced (t = inf)', 'online, t = 20')
    """
    t = set_t(training_set)
    if t is None:
        return reveal(training_set)
    if training_set == CONTROL:
        return "unbalanced (t = inf)"
    return f"{'online, ' if training_set.startswith('online-') else ''}t = {t:,.10g}"


def _of_recipe(at: str, recipe: Found, found: Found) -> list[str]:
    what = f"{words(found['metric'])} on {reveal(found['task'])}"
    chance = f"(chance {percent(found['chance'])})"
    best, control, online = (found[side] for side in ("best", "control", "online"))
    if not control or not best:
        only = control or best or online
        if only is None:
            return [f"{at}, no cell has a score on {reveal(found['task'])}."]
        lacks = "no balanced cell" if only is control else "no unbalanced control"
        scored = f"{label(only['training_set'])} scores {percent(only['mean'])} {what} {chance}"
        return [f"{at}, {scored}; {lacks} is there to compare it with."]
    name = label(best["training_set"])
    if not found["won"]:
        of_several = f", the best of {found['num_finite']}," if found["num_finite"] > 1 else ""
        name = f"balancing did not win: {name}{of_several}"
    scores = f"{percent(best['mean'])} {what} against {percent(control['mean'])} unbalanced {chance}"
    told = [f"{at}, {name} scores {scores}{_parts(recipe, found)}.", _certainty(recipe, found)]
    if online:
        t = label(online["training_set"]).removeprefix("online, ")
        told.append(f"Online balancing at {t} scores {percent(online['mean'])}{_online_parts(recipe, found)}.")
    return told


def _parts(recipe: Found, found: Found) -> str:
    told = []
    for part in ("tail", "head"):
        ours, control = (_mean(recipe, found, side, part) for side in ("best", "control"))
        if ours is not None and control is not None:
            told.append(f"{percent(ours)} against {percent(control)} on the {part}")
    return f": {', '.join(told)}" if told else ""


def _online_parts(recipe: Found, found: Found) -> str:
    own = {part: _mean(recipe, found, "online", part) for part in ("tail", "head")}
    told = [f"{part} {percent(score)}" for part, score in own.items() if score is not None]
    return f" ({', '.join(told)})" if told else ""


def _certainty(recipe: Found, found: Found) -> str:
    best, control, differences = found["best"], found["control"], [*found["differences"].values()]
    nums, spreads = ([side[what] for side in (best, control)] for what in ("seeds", "spread"))
    nums = [len(seeds) for seeds in nums]
    own = {row["training_set"]: len(row["seeds"]) for row in recipe["sets"]}
    told = []
    if not differences:
        told.append("The two have no seed in common.")
    elif nums != [own[side["training_set"]] for side in (best, control)]:
        told.append("Only seeds that both have are compared.")
    if max(nums) == 1:
        told.append("That is one seed each: no spread is known, and a small difference may be chance.")
    else:
        of_seeds = " and ".join(f"{num}" for num in (nums if nums[0] != nums[1] else nums[:1]))
        known = [f"{100 * spread:.1f}" for spread in spreads if spread is not None]
        told.append(f"These are means of {of_seeds} seeds, with a standard deviation of {' and '.join(known)} points.")
    if len(differences) > 1:
        ahead, (low, high) = sum(d > 0 for d in differences), (min(differences), max(differences))
        of_all = f"{ahead} of {len(differences)}, by {100 * low:+.1f} to {100 * high:+.1f} points"
        told.append(f"Seed by seed, {label(best['training_set'])} is ahead in {of_all}.")
    if abs(best["mean"] - control["mean"]) < max(spread or 0 for spread in spreads):
        told.append("The difference is smaller than the spread over seeds.")
    if found["num_finite"] > 1:
        told.append(f"It is the best of {found['num_finite']} values of t, picked by this very score.")
    if found["near_chance"]:
        bar = percent(bar_above(found["chance"]))
        told.append(f"No score is above {bar}, near enough to chance that their order means little.")
    return " ".join(told)


def _other_tasks(recipe: Found, found: Found, others: Sequence[tuple[str, str]]) -> list[str]:
    told = []
    for task, metric in others:
        ours, control = (score_at(recipe, found[side], task, "all", metric) for side in ("best", "control"))
        if ours and control:
            scores = f"{percent(ours['mean'])} against {percent(control['mean'])} unbalanced"
            chance = f"(chance {percent(ours['chance'])})"
            name = "In the mean of tasks" if task == MEAN_TASK else f"On {reveal(task)}"
            told.append(f"{name}: {scores}, {words(metric)} {chance}.")
    return told


def _mean(recipe: Found, found: Found, side: str, part: str) -> float | None:
    score = score_at(recipe, found[side], found["task"], part, found["metric"])
    return None if score is None else float(score["mean"])


def _listed(names: Sequence[str], between: str = ", ") -> str:
    more = f" and {number(len(names) - MAX_NAMED)} more" if len(names) > MAX_NAMED else ""
    return between.join(reveal(name) for name in names[:MAX_NAMED]) + more
