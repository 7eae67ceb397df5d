"""Write trained models as repositories that others can load and check, each with a card."""

from pathlib import Path

import dagster as dg

from assets.keys import Cell
from assets.partitions import cells
from assets.publishers import ask_publisher
from assets.queries.models import check_tokenizer, collect_model_facts
from assets.tags import tag_run
from metaclip_dagster.publishing.model_card import render_model_card
from metaclip_dagster.training.exporting import WEIGHTS
from metaclip_dagster.training.transformers_folder import copy_for_loaders
from resources.files.local import write_text
from resources.lake.resource import Lake
from resources.models.resource import Trainer
from resources.published.folders import digest_file, empty_folder
from resources.published.resource import Published
from resources.tasks.resource import ZeroShot

MODELS = "models"


@dg.asset(
    partitions_def=cells,
    deps=["checkpoints", "scores"],
    group_name="publishing",
    kinds={"pytorch", "huggingface"},
    owners=["team:models"],
)
@tag_run
def published_models(
    context: dg.AssetExecutionContext, lake: Lake, trainer: Trainer, zero_shot: ZeroShot, publications: Published
) -> dg.MaterializeResult:
    """A cell's model as a folder that is a model repository as it stands, for open_clip and transformers.

    Weights as safetensors, configs, a card with training set, recipe, scores and limits, and checksums.

    Next: read the card, complete publisher.yaml, and upload the folder with `metaclip publish model`.
    """
    cell = Cell.of(context.partition_key)
    publisher = ask_publisher(publications)
    root, names = Path(trainer.root), (MODELS, cell.training_set, cell.model)
    [row] = lake.read("checkpoints", [cell.key]).to_pylist()
    check_weights(root / row["path"] / WEIGHTS, row["sha256"], cell)
    check_tokenizer(root / row["path"], row)
    with publications.change(*names) as folder:
        empty_folder(folder)
        problem = copy_for_loaders(root / row["path"], folder)
        facts = collect_model_facts(
            lake,
            root,
            cell,
            transformers_problem=problem,
            notes=zero_shot.notes(),
            is_sample=publications.of_sample,
        )
        write_text(folder / "README.md", render_model_card(facts, publisher))
    readers = "open_clip" if problem else "open_clip, transformers"
    unanswered = publisher.list_open("model_card")
    return dg.MaterializeResult(metadata={"loads_with": readers, **publications.describe(*names), "open": unanswered})


def check_weights(weights: Path, sha256: str, cell: Cell) -> None:
    """Raise ValueError if a file of weights is not the one that the cell's training ended with."""
    if digest_file(weights) != sha256:
        raise ValueError(
            f"the weights of {cell.model} on {cell.training_set} are not those that CHECKPOINTS has: somebody changed "
            "the file; materialize checkpoints again in a new folder"
        )
