"""The front door for other tools: a subset as Parquet files, a training set as plain WebDataset, or a model."""

import argparse
import shutil
import sys
from pathlib import Path

from tqdm import tqdm

from assets.partitions import THRESHOLDS, TRAINING_SETS, Cell, rings_up_to
from metaclip_dagster.sharding import webdataset_samples
from metaclip_dagster.training.transformers_folder import write_for_transformers
from resources.deployments import Deployment, deployment
from resources.files.exports import clear_made_up_addresses, new_folder, write_webdataset
from resources.images.store import open_image_store
from resources.lake.resource import open_lake


def export_subset(where: Deployment, t: str, folder: Path) -> str:
    """Copy the Parquet files of D(t), and no superseded ones, for img2dataset, datasets or DuckDB.

    A url is null where an image came without one, in a pool's own tars.
    """
    lake = open_lake(where)
    pairs = lake.manifest("subsets", t).rows
    with new_folder(folder) as partial:
        files = lake.copy_files("subsets", t, partial)
        without = sum(map(clear_made_up_addresses, files))
    note = f", {without:,} of them without an address" if without else ""
    return f"{pairs:,} pairs of D({t}) in {len(files)} files{note}: {folder}"


def export_training_set(where: Deployment, t: str, folder: Path, *, images_per_tar: int) -> str:
    """Write the training set of D(t) as tars of image, .txt and .json.

    All images have one suffix: that of their format if they share it, else .jpg, which readers take by content.
    """
    lake, store = open_lake(where), open_image_store(str(where.images))
    images = lake.manifest("training_sets", t).rows
    batches = lake.dataset("images", rings_up_to(t)).to_batches(columns=["format"])
    formats = {name for batch in batches for name in batch["format"].unique().to_pylist() if name}
    samples = webdataset_samples(
        lake.stream("training_sets", [t])(),
        lake.stream("subsets", [t])(),
        store.members,
        suffix=formats.pop() if len(formats) == 1 else "jpg",
    )
    with new_folder(folder) as partial:
        shown = tqdm(samples, total=images, unit="image", disable=None)
        written = write_webdataset(shown, partial, images_per_tar=images_per_tar)
    return f"{written:,} images of D({t}): {folder}"


def export_model(where: Deployment, training_set: str, model: str, folder: Path) -> str:
    """Copy a trained model: open_clip's weights and, where it has the architecture, transformers'."""
    [row] = open_lake(where).read("checkpoints", [Cell(training_set, model).key]).to_pylist()
    with new_folder(folder) as partial:
        shutil.copytree(where.checkpoints / row["path"], partial, dirs_exist_ok=True)
        try:
            write_for_transformers(partial, partial)
            readers = "open_clip and transformers"
        except ValueError as error:
            readers = f"open_clip ({error})"
    return f"{model} trained on {training_set}, for {readers}: {folder}"


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    for what, says in (("subset", export_subset.__doc__), ("training-set", export_training_set.__doc__)):
        command = commands.add_parser(what, help=says, description=says)
        command.add_argument("t", choices=THRESHOLDS, help="which t")
        command.add_argument("folder", type=Path, help="where to; must not be there yet")
    command.add_argument("--images-per-tar", type=int, default=10_000)
    command = commands.add_parser("model", help=export_model.__doc__, description=export_model.__doc__)
    command.add_argument("training_set", choices=TRAINING_SETS, help="what it was trained on")
    command.add_argument("model", choices=deployment().models, help="which model")
    command.add_argument("folder", type=Path, help="where to; must not be there yet")
    asked = parser.parse_args()
    try:
        if asked.what == "subset":
            said = export_subset(deployment(), asked.t, asked.folder)
        elif asked.what == "model":
            said = export_model(deployment(), asked.training_set, asked.model, asked.folder)
        else:
            said = export_training_set(deployment(), asked.t, asked.folder, images_per_tar=asked.images_per_tar)
    except (FileNotFoundError, FileExistsError, ValueError) as error:
        sys.exit(f"export: {error}")
    print(said)


if __name__ == "__main__":
    main()
