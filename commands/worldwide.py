"""Run the sample in all its languages: one model of English alone, one of all that sees as much English."""

import json
import os
import sys
from typing import NoReturn

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.keys import THRESHOLDS, Cell
from commands import demo
from commands.tables import render_table
from metaclip_dagster.reporting.sweeps.languages import language_table
from metaclip_dagster.training import recipe_of
from resources.deployments import Deployment
from resources.lake.resource import open_lake

ENGLISH, ALL = "tiny-worldwide-en", "tiny-worldwide"
MODELS = [f"{model}{seed}" for seed in ("", "-s1", "-s2") for model in (ENGLISH, ALL)]
TRAINED_ON = THRESHOLDS[0]


def run_worldwide(where: Deployment, *, training: bool = True) -> None:
    """Curate the sample in all languages, and with training train both models and print their scores by language.

    A deployment without these models is started again with them, in a folder beside its own, and in all languages if
    it is of English alone. Raises ValueError for another deployment than the sample, or one without English.
    """
    if where.name != "sample":
        raise ValueError(f"--worldwide is more of the sample: unset METACLIP_DEPLOYMENT, which is {where.name}")
    if where.reference_language != "en":
        raise ValueError(f"METACLIP_LANGUAGES={','.join(where.languages)}: a model of English is trained; add en")
    if not {ENGLISH, ALL} <= {*where.models}:
        _start_again(where)
    demo.curate(where)
    if training:
        with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
            train_both(where, instance, [0])
        _print_scores(where)
    chosen = " ".join(f"{name}={value}" for name, value in choose_variables(where, "").items())
    print(f"To look at it: {chosen} metaclip ui")


def train_both(where: Deployment, instance: dg.DagsterInstance, seeds: list[int]) -> None:
    """Train and score both models on D(t) of the least t, with each seed; both see as many English pairs."""
    demo.make(where, instance, prepare_steps())
    for model, pairs_to_see in choose_budgets(where).items():
        cells = [Cell(TRAINED_ON, f"{model}-s{seed}" if seed else model).key for seed in seeds]
        config = {"ops": {"checkpoints": {"config": {"pairs_to_see": pairs_to_see}}}}
        demo.make(where, instance, [(["checkpoints", "scores"], cells)], config)
    demo.make(where, instance, [(["sweep"], [None])])


def prepare_steps() -> list[demo.Step]:
    """From images to the training set and the tokenizer, in order."""
    return [
        (["image_texts", "images"], [TRAINED_ON]),
        (["data_cards"], [TRAINED_ON]),  # once more, now with pictures
        (["training_sets"], [TRAINED_ON]),
        (["tokenizer"], [None]),
    ]


def choose_budgets(where: Deployment) -> dict[str, int]:
    """Pairs to see by model: the deployment's for English, and more for all, by the share that is English.

    To the nearest whole number of steps of each epoch.
    """
    share = measure_share(open_lake(where).read("training_sets", [TRAINED_ON]), "en")
    recipe, _ = recipe_of(ALL)
    unit = recipe.epochs * recipe.batch_size * max(1, where.loader_workers)
    return {ENGLISH: where.pairs_to_see, ALL: round(where.pairs_to_see / share / unit) * unit}


def measure_share(training_set: pa.Table, language: str) -> float:
    """The share of draws that are of a language: each image of TRAINING_SETS shows one of its texts, drawn evenly."""
    texts = training_set["texts"].combine_chunks()
    of_language = pc.equal(texts.flatten().field("language"), language).to_numpy(zero_copy_only=False)
    image = pc.list_parent_indices(texts).to_numpy()
    return float(np.mean(np.bincount(image, of_language) / np.bincount(image)))


def _start_again(where: Deployment) -> NoReturn:
    """Languages and models of a graph are fixed when it is imported; all else is as this process was started."""
    sys.stdout.flush()
    command = [sys.executable, *sys.orig_argv[1:]]
    os.execve(command[0], command, os.environ | choose_variables(where, "/worldwide"))  # noqa: S606  # no shell


def choose_variables(where: Deployment, folder: str) -> dict[str, str]:
    """The variables of the deployment that has both models, in a folder of where this one's data and tables are."""
    languages = "all" if where.languages == ("en",) else ",".join(where.languages)
    elsewhere = {"METACLIP_LAKE": where.lake_url, "METACLIP_IMAGES": where.images_url}
    roots = {name: url.removesuffix(f"/{where.name}") + folder for name, url in elsewhere.items() if url}
    data = {"METACLIP_DATA": f"{where.home.parent}{folder}", **roots}
    return {**data, "METACLIP_LANGUAGES": languages, "METACLIP_MODELS": ",".join(MODELS)}


def _print_scores(where: Deployment) -> None:
    sweep = json.loads((where.reports / "sweep.json").read_text(encoding="utf-8"))
    print(f"\n{render_table(language_table(sweep['languages'], sweep['tasks'], intervals=False))}")
    english, every = choose_budgets(where).values()
    print(f"\nBoth models see {english:,} English pairs; {ALL} sees {every - english:,} in other languages, too.")
    print(f"Sweep report: {where.reports / 'sweep.html'}")
