"""Search the images of a training set by a text or a picture, with a model that was trained on the set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.keys import Cell
from assets.queries.lookups import Reader
from assets.queries.models import check_tokenizer
from assets.queries.pictures import read_pictures
from assets.queries.provenance import record_parents
from metaclip_dagster.clip_models import LOCAL, load_model
from metaclip_dagster.evaluation.embedding import check_text, embed_images, embed_picture, embed_text, read_picture
from metaclip_dagster.evaluation.searching import Hit, find_nearest
from metaclip_dagster.reporting.html.thumbnails import Picture
from metaclip_dagster.training.exporting import WEIGHTS
from resources.deferred import stage_version
from resources.lake.resource import Lake
from resources.published.folders import digest_file

if TYPE_CHECKING:
    from PIL import Image

TEXTS_LISTED = 5
"""Of each image; one that is on every page of a site has thousands."""


@dataclass(frozen=True)
class Query:
    """What is searched by: a text, or a picture with the name of its file."""

    text: str
    picture: "Image.Image | None" = None
    digest: str = ""
    """Of the picture's file: two files may share a name."""

    @property
    def words(self) -> str:
        """What is searched by, as a sentence has it."""
        return f"the picture {self.text}" if self.picture else self.text


def read_query(text: str, image: Path | None) -> Query:
    """The text, or the picture of the file; raises ValueError where neither is given, or both, or one is no such."""
    if image is None:
        return Query(check_text(text))
    if text:
        raise ValueError("search by a text or by --image, not by both")
    return Query(check_text(image.name), read_picture(image), digest_file(image))


def choose_cell(lake: Lake, training_set: str, models: Sequence[str], asked: str | None) -> Cell:
    """The model that was asked for, or the first that was trained on the set; ValueError where there is none."""
    trained = [model for model in models if lake.store("checkpoints", Cell(training_set, model).key).manifest()]
    if asked in trained or (asked is None and trained):
        return Cell(training_set, asked or trained[0])
    model = asked or models[0]
    others = f"; trained on it are {', '.join(trained)}" if trained else ""
    raise ValueError(
        f"{model} was not trained on {training_set} yet{others}. `metaclip sweep --t {training_set} --model {model}` "
        "trains it"
    )


def is_embedded(lake: Lake, cell: Cell) -> bool:
    """Whether IMAGE_EMBEDDINGS of the cell are of its training set and its weights as they are now."""
    manifest = lake.store("image_embeddings", cell.key).manifest()
    expected = {**record_parents(lake, "image_embeddings", cell.key), "stage": stage_version(embed_images)}
    return manifest is not None and expected.items() <= manifest.inputs.items()


def search(
    lake: Lake, cell: Cell, query: Query, *, checkpoints: Path, images: str, device: str, limit: int
) -> tuple[dict[str, Any], list[Picture]]:
    """The images of the cell's set that are nearest to the query, for its page, and a picture of each.

    `checkpoints` is the folder of all trainings, `images` the folder or URL of the image store. Raises
    FileNotFoundError where the set is not embedded, and ValueError where it has no image, or the weights are not those
    that CHECKPOINTS has.
    """
    [trained] = lake.read("checkpoints", [cell.key]).to_pylist()
    folder = checkpoints / trained["path"]
    embeddings = lake.stream("image_embeddings", [cell.key])
    if digest_file(folder / WEIGHTS) != trained["sha256"]:
        raise ValueError(
            f"{folder / WEIGHTS} is not what {cell.model} on {cell.training_set} ended with: somebody changed the "
            "file; materialize checkpoints again in a new folder"
        )
    check_tokenizer(folder, trained)
    model = load_model(f"{LOCAL}{folder}", device=device)
    embedding = embed_picture(query.picture, model) if query.picture else embed_text(query.text, model)
    hits, num_images = find_nearest(embedding, embeddings(), limit=limit)
    if not hits:
        raise ValueError(f"the training set {cell.training_set} has no image to search")
    reader = Reader(lake)
    described = [_describe(reader, cell, rank, hit) for rank, hit in enumerate(hits, start=1)]
    pictures = read_pictures(lake, images, {hit["image_id"]: "; ".join(hit["texts"]) for hit in described})
    report = {
        "query": query.text,
        "by": "picture" if query.picture else "text",
        "digest": query.digest,
        "training_set": cell.training_set,
        "model": cell.model,
        "weights": trained["sha256"],
        "images": num_images,
        "trained_on_this_build": trained["set_version"] == lake.manifest("training_sets", cell.training_set).version,
        "hits": [
            {**hit, "url": picture.url, "in_store": picture.thumbnail is not None}
            for hit, picture in zip(described, pictures.values(), strict=True)
        ],
    }
    return report, [_note_rank(hit, picture) for hit, picture in zip(described, pictures.values(), strict=True)]


def _describe(reader: Reader, cell: Cell, rank: int, hit: Hit) -> dict[str, Any]:
    rows = reader.rows_of_image("training_sets", cell.training_set, hit.image_id)
    texts = list(dict.fromkeys(text["text"] for row in rows for text in row["texts"]))
    return {
        "rank": rank,
        "similarity": hit.similarity,
        "image_id": hit.image_id,
        "texts": texts[:TEXTS_LISTED],
        "num_texts": len(texts),
    }


def _note_rank(hit: Mapping[str, Any], picture: Picture) -> Picture:
    note = f"{hit['rank']}: {hit['similarity']:.3f}"
    return replace(picture, note=f"{note}, {picture.note}" if picture.note else note)
