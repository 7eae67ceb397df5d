"""Write subsets or a model into the folder of a repository, as runs that the UI shows, and upload it where asked."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import dagster as dg

from assets.keys import THRESHOLDS, TRAINING_SETS, Cell
from assets.publishing import DATASET, REPLACED
from commands.demo import materialize
from commands.names import check_choice
from definitions import bind
from metaclip_dagster.publishing.publisher import read_publisher
from metaclip_dagster.training.tokenizing import TOKENIZER
from metaclip_dagster.training.transformers_folder import FILES
from resources.deployments import Deployment, deployment
from resources.hub.uploading import parse_target, upload_folder
from resources.published.folders import check_folder, lock_folder

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The UI has a failed run's trace; a terminal has one line."""


def main(asked: argparse.Namespace) -> None:
    """Publish, and say where; raises RuntimeError where a run does not go through, or an upload."""
    where = deployment()
    repository = parse_target(asked.to) if asked.to else ""
    if asked.part == "dataset":
        keys = [check_choice(t, THRESHOLDS, "t") for t in asked.t]
        folder = publish(where, "published", keys, where.published / DATASET)
    else:
        training_set = check_choice(asked.training_set, TRAINING_SETS, "training set")
        model = check_choice(asked.model, where.models, "model")
        folder = where.published / "models" / training_set / model
        publish(where, "published_models", [Cell(training_set, model).key], folder)
    print(folder, describe_open(where, "datasheet" if asked.part == "dataset" else "model_card"), sep="\n", flush=True)
    if repository:
        print(upload(folder, repository, kind=asked.part, private=asked.private))


def publish(where: Deployment, asset: str, keys: Sequence[str], folder: Path) -> Path:
    """Make these partitions of the asset, one run each; gives the folder that they are in."""
    make(where, asset, keys)
    return folder


def make(where: Deployment, asset: str, keys: Sequence[str]) -> None:
    """Make these partitions of the asset, one run each; raises RuntimeError, with one line, for one that fails."""
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        for key in keys:
            try:
                materialize(bind(where), instance, [asset], key, QUIET)
            except (dg.DagsterError, dg.Failure) as error:
                raise RuntimeError(str(error).partition("\n")[0]) from error


def describe_open(where: Deployment, document: str) -> str:
    """What nobody has said yet of what is published, in one line."""
    content = where.publisher.read_bytes() if where.publisher.exists() else b""
    missing = read_publisher(content, str(where.publisher)).list_open(document)
    if not missing:
        return f"{where.publisher} answers everything"
    named = [name for name in missing if "." not in name]
    return f"open, for {where.publisher} to say: {', '.join(named)} and {len(missing) - len(named)} questions"


def upload(folder: Path, repository: str, *, kind: Literal["dataset", "model"], private: bool) -> str:
    """Upload the folder while nobody changes it; gives one line about it.

    Raises ValueError where the folder is not as its checksums have it.
    """
    with lock_folder(folder):
        check_folder(folder)
        return upload_folder(
            folder,
            repository,
            kind=kind,
            private=private,
            replaced=REPLACED if kind == "dataset" else (*FILES, TOKENIZER),
        )
