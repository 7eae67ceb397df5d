"""Compare a model of eleven languages with one of English alone on the sample, at as many seen English pairs, 3 seeds.

python -m benchmarks.bench_worldwide [--seeds N] [--json]

Does what `metaclip demo --worldwide` does, reuses what that made, and trains the other seeds in its lake, some minutes
each on two cores. A value is the accuracy of the model of all languages in one of them; the baseline is that of the
model of English alone, from the same pool and with the same tokenizer, and the ratio is between them: below 1 it is
better to leave the other languages out. Sizes of each language, entries to pairs, stand beside them.
"""

import json
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, options, print_rows, row

MODELS = [f"tiny-worldwide{language}{seed}" for seed in ("", "-s1", "-s2") for language in ("-en", "")]
TASKS = ("twemoji", "twemoji-unseen")
SIZES = ("entries", "matches", "t", "pairs")


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, choices=(1, 2, 3), default=3)
    args = parser.parse_args()
    # A graph has the languages and models that it is imported with.
    if os.environ.get("METACLIP_MODELS") != ",".join(MODELS):
        data = Path(os.environ.get("METACLIP_DATA", Path(__file__).parents[1] / "data")).absolute() / "worldwide"
        chosen = {"METACLIP_DATA": str(data), "METACLIP_LANGUAGES": "all", "METACLIP_MODELS": ",".join(MODELS)}
        command = [sys.executable, "-m", "benchmarks.bench_worldwide", *sys.argv[1:]]
        os.execve(command[0], command, os.environ | chosen)  # no shell
    with redirect_stdout(sys.stderr):
        sweep, budgets = train(args.seeds)
    print_rows(list_rows(sweep, budgets), args.json)


def train(num_seeds: int) -> tuple[dict[str, Any], dict[str, int]]:
    """Curate the sample and train both models with each seed; gives the report on the sweep, and pairs to see."""
    import dagster as dg  # noqa: PLC0415  # only where the languages are set

    from commands import demo, worldwide  # noqa: PLC0415
    from resources.deployments import deployment  # noqa: PLC0415

    where = deployment()
    demo.curate(where)
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        worldwide.train_both(where, instance, [*range(num_seeds)])
    return json.loads((where.reports / "sweep.json").read_text("utf-8")), worldwide.choose_budgets(where)


def list_rows(sweep: dict[str, Any], budgets: dict[str, int]) -> list[Row]:
    """Give rows for each language: its sizes, then each task's mean over seeds beside the English model's."""
    english, every = budgets
    sizes = {of["language"]: of for of in sweep["languages"] if of["recipe"] == every}
    scores = {
        (of["recipe"], of["language"], score["task"]): score
        for of in sweep["languages"]
        for score in of["scores"]
        if (score["part"], score["metric"]) == ("all", "acc1")
    }
    source = ", ".join(f"{name} sees {pairs:,} pairs" for name, pairs in budgets.items())
    rows = [row(f"{language}: {name}", of[name], "", input=source) for language, of in sizes.items() for name in SIZES]
    for task in TASKS:
        for language in sizes:
            one, base = (scores[model, language, task] for model in (every, english))
            spread = "" if one["spread"] is None else f", s.d. {100 * one['spread']:.2f} and {100 * base['spread']:.2f}"
            asked = f"{source}; {len(one['values'])} seeds, {one['num_classes']:,} names, chance {one['chance']:.2%}"
            beside = (100 * base["mean"], one["mean"] / base["mean"]) if base["mean"] else (None, None)
            described = f"{language}: {task} top-1{spread}{'' if base['mean'] else ', the English model 0'}"
            rows.append(row(described, 100 * one["mean"], "%", *beside, input=asked))
    return rows


if __name__ == "__main__":
    main()
