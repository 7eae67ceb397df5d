"""Write counts, a subset (Parquet), a training set (plain WebDataset) or a model to a folder for other tools."""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from assets.keys import THRESHOLDS, TRAINING_SETS, Cell, rings_up_to, rung_of, t_of
from assets.queries.distributions import read_distribution
from assets.queries.mixtures import describe_mixture, source_of
from assets.queries.publications import copy_subset, read_attribution
from commands.names import check_choice
from metaclip_dagster.counting import write_distribution
from metaclip_dagster.publishing.mixture_card import write_mixture
from metaclip_dagster.sharding import webdataset_samples
from metaclip_dagster.training.transformers_folder import copy_for_loaders
from resources.deployments import Deployment, deployment
from resources.files.exports import create_in, new_folder, new_place, write_attribution, write_webdataset
from resources.images.store import ImageStore
from resources.lake.resource import open_lake


def main(asked: argparse.Namespace) -> None:
    """Write the folder and say what is in it; raises MissingPartitionError for what is not made yet."""
    where = deployment()
    if asked.part == "model":
        training_set = check_choice(asked.training_set, TRAINING_SETS, "training set")
        print(export_model(where, training_set, check_choice(asked.model, where.models, "model"), asked.folder))
        return
    if asked.part == "training-set":
        name = check_choice(asked.t, [name for name in TRAINING_SETS if t_of(name) == rung_of(name)], "training set")
        print(export_training_set(where, name, asked.folder, images_per_tar=asked.images_per_tar))
        return
    t = check_choice(asked.t, THRESHOLDS, "t")
    if asked.part == "counts":
        print(export_counts(where, t, asked.folder))
    else:
        print(export_subset(where, t, asked.folder, licenses=asked.license or ()))


def export_counts(where: Deployment, t: str, folder: Path) -> str:
    """Write how many pairs match each entry, in the pool and in D(t), as Parquet and as MetaCLIP's JSON."""
    distribution = read_distribution(open_lake(where), t)
    with new_folder(folder) as partial:
        files = write_distribution(distribution, partial)
    return f"counts of {distribution.num_rows:,} entries, in the pool and in D({t}), in {len(files)} files: {folder}"


def export_subset(where: Deployment, t: str, folder: Path, *, licenses: Sequence[str] = ()) -> str:
    """Copy the Parquet files of D(t), and no superseded ones, for img2dataset, datasets or DuckDB.

    `licenses` are patterns, as `CC-BY*`: then only pairs whose licence fits one of them. ATTRIBUTION.csv beside the
    files says of pairs with a licence where it is named. Raises ValueError where no pair fits.
    """
    with new_folder(folder) as partial:
        files, pairs, num_without = copy_subset(open_lake(where), t, partial, licenses=licenses)
        num_licensed = write_attribution(read_attribution(files), partial / "ATTRIBUTION.csv")
    note = f", {num_without:,} of them without an address" if num_without else ""
    return (
        f"{pairs:,} pairs of D({t}) in {len(files)} files{note}, ATTRIBUTION.csv names the licences of "
        f"{num_licensed:,} images: {folder}"
    )


def export_training_set(where: Deployment, name: str, folder: Path | str, *, images_per_tar: int) -> str:
    """Write a training set as tars of image, .txt and .json, into a folder or below an fsspec URL.

    Of a mixture these are a folder a source, with a README.md and mixture.json beside them.

    All images have one suffix: that of their format if they share it, else .jpg, which readers take by content.
    """
    lake, written = open_lake(where), Counter[str]()
    sources = describe_mixture(lake.manifest("training_sets", name), where.pairs_to_see)
    with new_place(folder) as place:
        for source in [it.name for it in sources] or [""]:
            below = place / source if isinstance(place, Path) else f"{place}/{source}".rstrip("/")
            written[source] = _write_source(where, name, source, below, images_per_tar=images_per_tar)
        num_tars = {source: -(-num // images_per_tar) for source, num in written.items()}
        for document, text in (write_mixture(name, sources, num_tars) if sources else {}).items():
            with create_in(place)(document) as file:
                file.write(text.encode())
    of_sources = "".join(f", {num:,} of {source}" for source, num in written.items() if source)
    return f"{written.total():,} images of {f'D({name})' if name in THRESHOLDS else name}{of_sources}: {folder}"


def _write_source(where: Deployment, name: str, source: str, place: Path | str, *, images_per_tar: int) -> int:
    """Write the images of a source of the set, or of a set that is no mixture; gives how many there are."""
    lake, store = open_lake(where), ImageStore(where.images)
    t, shards = rung_of(name), lake.shards("training_sets", name).items()
    rows = (batch for key, of_shard in shards if source_of(key) == source for batch in of_shard())
    images = sum(it.rows for it in lake.manifest("training_sets", name).shards if source_of(it.key) == source)
    batches = lake.dataset("images", rings_up_to(t)).to_batches(columns=["format"])
    formats = {it for batch in batches for it in batch["format"].unique().to_pylist() if it}
    samples = webdataset_samples(
        rows,
        lake.stream("subsets", [t])(),
        store.members,
        images=lake.stream("images", rings_up_to(t))(),
        suffix=formats.pop() if len(formats) == 1 else "jpg",
    )
    counted = tqdm(samples, total=images, unit="image", disable=None)
    return write_webdataset(counted, place, images_per_tar=images_per_tar)


def export_model(where: Deployment, training_set: str, model: str, folder: Path) -> str:
    """Copy a trained model: open_clip's weights and, where it has the architecture, transformers'."""
    [row] = open_lake(where).read("checkpoints", [Cell(training_set, model).key]).to_pylist()
    with new_folder(folder) as partial:
        problem = copy_for_loaders(where.checkpoints / row["path"], partial)
    readers = f"open_clip ({problem})" if problem else "open_clip and transformers"
    return f"{model} trained on {training_set}, for {readers}: {folder}"
