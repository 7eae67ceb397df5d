"""Write subsets, lists or a model into a repository's folder, as runs that the UI shows, and upload it where asked."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from assets.keys import THRESHOLDS, TRAINING_SETS, Cell
from assets.published_lists import LISTS
from assets.published_models import MODELS
from assets.publishing import DATASET
from assets.queries.lists import list_missing
from commands.demo import materialize
from commands.names import check_choice
from definitions import bind
from metaclip_dagster.publishing.list_documents import OWN_LISTS
from metaclip_dagster.training.tokenizing import TOKENIZER
from metaclip_dagster.training.transformers_folder import FILES
from resources.deployments import Deployment, deployment
from resources.hub.uploading import parse_target, upload_folder
from resources.lake.resource import open_lake
from resources.published.folders import check_folder, lock_folder

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The UI has a failed run's trace; a terminal has one line."""

REPLACED = {
    "dataset": ("attribution/*", "cards/*", "data/*", "distribution/*"),
    "lists": ("data/*", "licenses/*", "text/*"),
    "model": (*FILES, TOKENIZER),
}
"""What of a repository is the folder's alone: files there that the folder no longer has are deleted."""


def main(asked: argparse.Namespace) -> None:
    """Publish, and say where; raises RuntimeError where a run does not go through, or an upload."""
    where = deployment()
    repository = parse_target(asked.to) if asked.to else ""
    if asked.part == "dataset":
        folder = where.published / DATASET
        unanswered = make(where, "published", [check_choice(t, THRESHOLDS, "t") for t in asked.t])
    elif asked.part == "lists":
        folder = where.published / LISTS
        unanswered = make_lists(where)
    else:
        training_set = check_choice(asked.training_set, TRAINING_SETS, "training set")
        model = check_choice(asked.model, where.models, "model")
        folder = where.published / MODELS / training_set / model
        unanswered = make(where, "published_models", [Cell(training_set, model).key])
    print(folder, describe_open(where.publisher, unanswered), sep="\n", flush=True)
    if repository:
        print(upload(folder, repository, part=asked.part, private=asked.private))


def make_lists(where: Deployment) -> list[str]:
    """Make what the lists lack, saying what it is, and then their folder; gives what nobody has said of them."""
    for asset in list_missing(open_lake(where)):
        print(f"{asset} is made first", flush=True)
        make(where, asset)
    return make(where, "published_lists")


def make(where: Deployment, asset: str, keys: Sequence[str | None] = (None,)) -> list[str]:
    """Make these partitions of the asset, one run each; gives what nobody has said of what is published, if it says.

    Raises RuntimeError, with one line, for a run that fails.
    """
    unanswered: list[str] = []
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        for key in keys:
            try:
                result = materialize(bind(where), instance, [asset], key, QUIET)
            except (dg.DagsterError, dg.Failure) as error:
                raise RuntimeError(str(error).partition("\n")[0]) from error
            for event in result.get_asset_materialization_events():
                value = event.materialization.metadata.get("open")
                if isinstance(value, dg.JsonMetadataValue):
                    unanswered = [*map(str, value.value or ())]
    return unanswered


def describe_open(publisher: Path, unanswered: Sequence[str]) -> str:
    """What nobody has said yet of what is published, in one line."""
    if not unanswered:
        return f"{publisher} answers everything"
    named = [name for name in unanswered if "." not in name or name.startswith(OWN_LISTS)]
    return f"open, for {publisher} to say: {', '.join(named)} and {len(unanswered) - len(named)} questions"


def upload(folder: Path, repository: str, *, part: str, private: bool) -> str:
    """Upload the folder while nobody changes it; gives one line about it.

    Raises ValueError where the folder is not as its checksums have it.
    """
    with lock_folder(folder):
        check_folder(folder)
        return upload_folder(
            folder,
            repository,
            kind="model" if part == "model" else "dataset",
            private=private,
            replaced=REPLACED[part],
        )
