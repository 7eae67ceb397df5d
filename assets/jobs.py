"""Write a training's job file; another set, recipe or budget gets another folder."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import dagster as dg
import numpy as np
import pyarrow as pa
from pydantic import Field, create_model

from assets.choices import Sparse
from assets.defaults import DEFAULTS
from assets.keys import Cell
from assets.queries.mixtures import read_shares, source_of
from assets.queries.provenance import record_read
from assets.queries.rungs import thresholds_of
from metaclip_dagster.balancing import Draw, build_draw, draw_pairs, uniform
from metaclip_dagster.training import (
    POOL,
    Recipe,
    TextTokenizer,
    change_recipe,
    describe_recipe,
    parse_tokenizer,
    read_tokenizer,
    recipe_of,
    render_tokenizer,
)
from resources.deferred import address_of
from resources.files.digests import combine
from resources.files.local import create
from resources.images.resource import Images
from resources.images.store import ImageStore
from resources.lake.resource import WHOLE, Lake
from resources.models.resource import Trainer

_CHANGES: dict[str, Any] = {
    name: (Annotated[hint.__origin__ | None, Field(description=hint.__metadata__[0])], None)
    for name, hint in get_type_hints(Recipe, include_extras=True).items()
}
RecipeChanges: Any = create_model("RecipeChanges", __base__=Sparse, __module__=__name__, **_CHANGES)
RecipeChanges.__doc__ = "What of the model's recipe is changed; what is left out, or null, is as the recipe has it."


class Training(dg.Config, use_attribute_docstrings=True):
    """The budget, and what of the model's recipe is changed."""

    pairs_to_see: int = Field(default=DEFAULTS.pairs_to_see, ge=1)
    """Seen pairs, the same for every t: whole steps of every virtual epoch."""
    recipe: RecipeChanges = RecipeChanges()
    """What of the model's recipe is changed."""


def prepare_job(
    lake: Lake, trainer: Trainer, image_store: Images, cell: Cell, config: Training
) -> tuple[Path, dict[str, Any]]:
    """The trainer's job, and the folder that is this training's alone: another set or recipe gets another.

    A tokenizer of the recipe's is copied into that folder and known by its digest: its own folder may move or change.
    Raises ValueError for a change that no recipe takes or a tokenizer that is none, dg.Failure if online balancing
    would draw with other counts than the set was made with, or the pool has no tokenizer and the recipe reads by it.
    """
    recipe, seed = _apply_changes(cell, config)
    tokenizer = _find_tokenizer(lake, recipe.tokenizer)
    if tokenizer:
        recipe = dataclasses.replace(recipe, tokenizer=tokenizer.sha256)
    training_set = lake.manifest("training_sets", cell.training_set)
    settings = {
        "training_set": cell.training_set,
        "model": cell.model,
        "recipe": describe_recipe(recipe),
        "seed": seed,
        "budget": config.pairs_to_see,
        "precision": trainer.precision_used,
        **({"mixture": shares} if (shares := read_shares(training_set)) else {}),
    }
    versions = [json.dumps(settings, sort_keys=True), training_set.version]
    held_to = {}
    if cell.training_set.startswith("online-"):
        held_to = thresholds_of(lake, cell.training_set.removeprefix("online-"))
        versions += [repr(held_to), lake.manifest("entry_counts").version]
    folder = Path(trainer.root, cell.training_set, cell.model, combine(versions)[:16])
    for name, content in (render_tokenizer(tokenizer) if tokenizer else {}).items():
        with create(folder / "tokenizer" / name) as file:  # whole at once: this training may be starting elsewhere
            file.write(content)
    files, store = lake.files("training_sets", cell.training_set, "tar"), ImageStore(image_store.root)
    sources = [{"source": source_of(shard.key)} if shares else {} for shard in training_set.shards]
    shards = zip(files.items(), sources, strict=True)
    job = {
        **settings,
        "images": image_store.root,
        "objects": store.locate(tar for tars in files.values() for tar in tars),
        "image_options": store.connection,
        "shards": [{"path": path, "tars": tars, **source} for (path, tars), source in shards if tars],
        "storage_options": lake.connection,
        "uniform": address_of(uniform),
        "tokenizer": str(folder / "tokenizer") if tokenizer else "",
        "online": {"thresholds": held_to, "draw": str(_write_draw(lake, cell, folder))} if held_to else None,
    }
    return folder, job


def record_tokenizer(lake: Lake, cell: Cell, config: Training) -> dict[str, str]:
    """For the manifest of a checkpoint: the version of the pool's tokenizer, where its recipe reads texts by that."""
    recipe, _ = _apply_changes(cell, config)
    return record_read(lake, "tokenizer", WHOLE) if recipe.tokenizer == POOL else {}


def _apply_changes(cell: Cell, config: Training) -> tuple[Recipe, int]:
    """The cell's recipe as the config changes it, and its seed. Raises ValueError for a change that no recipe takes."""
    recipe, seed = recipe_of(cell.model)
    return change_recipe(recipe, config.recipe.model_dump()), seed


def _find_tokenizer(lake: Lake, tokenizer: str) -> TextTokenizer | None:
    """The tokenizer that a recipe names: the pool's, or that of a folder; None where it names none."""
    if tokenizer == POOL:
        return parse_tokenizer(lake.read("tokenizer")["tokenizer"][0].as_py())
    return read_tokenizer(Path(tokenizer)) if tokenizer else None


def _write_draw(lake: Lake, cell: Cell, folder: Path) -> Path:
    """What online balancing draws with, for loaders that know no lake."""
    draw, path = build_draw(lake.read("entry_counts")), folder / "draw.npz"
    _check_draw(lake, cell, draw)
    with create(path) as file:
        np.savez(file, entry_key=draw.entry_key, entry_count=draw.entry_count)
    return path


def _check_draw(lake: Lake, cell: Cell, draw: Draw) -> None:
    """Draw the set's first rows again: other counts or entries than theirs give other numbers."""
    stream = lake.stream("training_sets", [cell.training_set])()
    rows = next((batch for batch in stream if batch.num_rows), None)
    if rows is None:
        return  # training refuses a set without images
    texts = pa.RecordBatch.from_struct_array(rows["texts"].flatten())
    snapshot = lake.manifest("subsets", "inf").shards[0].key.rsplit("/", 1)[0]
    seed = int(lake.manifest("admissions", snapshot).inputs["seed"])
    has_all = len(draw.entry_key) > np.max(texts["entry_ids"].flatten().to_numpy())
    if not has_all or (draw_pairs(texts, draw, seed) != texts["admitted_at"].to_numpy()).any():
        raise dg.Failure(
            f"the training set {cell.training_set} was made with other entries or entry_counts than there are now; "
            "materialize admissions of every snapshot, subsets and images of every t, then this training set",
            allow_retries=False,
        )
