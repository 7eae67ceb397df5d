"""A text is scored by the cosine of its embedding and its image's, whatever else is scored with it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
import pyarrow as pa
import pytest
import torch
from PIL import Image

from metaclip_dagster.filtering import score_pairs
from metaclip_dagster.filters import ClipScore, find_filtered_pairs, identify_scorer, load_scorers, sees_texts
from metaclip_dagster.schemas import IMAGE_TEXTS, PAIR_SCORES
from metaclip_dagster.sharding import build_training_set
from tests.metaclip_dagster.filtering.test_filtering import Store, image_id
from tests.metaclip_dagster.zero_shot import export_model

PAIRS = {1: (1, "a red square"), 2: (1, "something else"), 3: (2, "a blue square"), 4: (3, ""), 5: (9, "not stored")}
PICTURES = {
    image_id(number): Image.new("RGB", (40, 30), colour) for number, colour in enumerate(("red", "blue", "green"), 1)
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_model(tmp_path_factory.mktemp("models") / "tiny")


def texts_of(pairs: Sequence[int]) -> list[pa.RecordBatch]:
    rows = [
        {
            "image_id": image_id(PAIRS[pair][0]),
            "url": f"http://a.example/{PAIRS[pair][0]}",
            "pair_id": pair,
            "text": PAIRS[pair][1],
            "entry_ids": [],
        }
        for pair in pairs
    ]
    batches: list[pa.RecordBatch] = pa.Table.from_pylist(rows, IMAGE_TEXTS).to_batches()
    return batches


class Longer:
    """Scores a text by its length, and remembers which images it saw."""

    def __init__(self) -> None:
        self.asked = Counter[tuple[int, ...]]()

    def __call__(self, image: Image.Image, texts: Sequence[str]) -> list[float]:
        self.asked[image.getpixel((0, 0))] += 1  # type: ignore[index]  # a colour
        return [float(len(text)) for text in texts]


def test_a_score_is_the_cosine_by_open_clip_whatever_else_is_scored(folder: Path) -> None:
    name = f"metaclip_dagster.filters:ClipScore(local-dir:{folder})"
    scorers, store = load_scorers([identify_scorer(name)]), Store(PICTURES)
    scored = {
        row["pair_id"]: row["scores"][0]["score"]
        for batch in score_pairs(texts_of([*PAIRS]), [store.rows()], [], store=store, scorers=scorers, seen=Counter())
        for row in batch.to_pylist()
    }
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    with torch.inference_mode():
        for pair, score in scored.items():
            number, text = PAIRS[pair]
            image = model.eval().encode_image(preprocess(PICTURES[image_id(number)])[None])
            cosine = torch.nn.functional.cosine_similarity(image, model.encode_text(tokenizer([text])))
            assert score == pytest.approx(cosine.item(), abs=1e-5)
    assert scored.keys() == {1, 2, 3, 4}
    assert len(set(scored.values())) == 4
    for alone, value in scored.items():
        [batch] = score_pairs(texts_of([alone]), [store.rows()], [], store=store, scorers=scorers, seen=Counter())
        assert batch["scores"][0].as_py()[0]["score"] == pytest.approx(value, abs=1e-6)


def test_an_image_is_read_once_for_its_texts_and_what_is_known_not_at_all() -> None:
    store, longer, seen = Store(PICTURES), Longer(), Counter[str]()
    asked: dict[str, Any] = {"store": store, "scorers": {"tests:Longer": longer}, "seen": seen}
    first = list(score_pairs(texts_of([1, 3]), [store.rows()], [], **asked))
    assert (store.reads.total(), seen["scored"]) == (2, 2)
    whole = list(score_pairs(texts_of([4, 3, 2, 1]), [store.rows()] * 2, first * 2, **asked))
    assert (store.reads.total(), seen["scored"]) == (4, 4)
    assert list(score_pairs(texts_of([1, 2, 3, 4]), [store.rows()], whole, **asked)) == whole
    assert store.reads.total() == 4
    unknown = list(score_pairs(texts_of([1, 2, 3, 4]), [store.rows()], [], **asked))
    assert unknown == whole
    assert max(longer.asked.values()) == 3


def test_a_text_below_the_limit_goes_and_the_image_only_when_none_is_left() -> None:
    store = Store(PICTURES)
    texts, images = texts_of([1, 2, 3, 4]), [store.rows()]
    by_length = {"tests:Longer": Longer()}
    scored = list(score_pairs(texts, images, [], store=store, scorers=by_length, seen=Counter()))
    for at_least, expected in ((0, {1, 2, 3, 4}), (13, {2, 3}), (14, {2}), (99, set[int]())):
        dropped, seen = Counter[str](), Counter[str]()
        built = build_training_set(
            texts,
            images,
            (),
            scored,
            pair_filters={"tests:Longer": {"at_least": at_least}},
            dropped=dropped,
            seen=seen,
        ).to_pylist()
        assert {text["pair_id"] for row in built for text in row["texts"]} == expected
        assert seen["pairs"] + dropped.total() == len(texts[0])
        assert dropped == ({"filtered_longer": 4 - len(expected)} if len(expected) < 4 else {})
        assert seen["images"] + seen["textless_images"] == len(PICTURES)
        assert seen["filtered_texts"] == dropped.total()


def test_a_pair_without_a_score_is_missed() -> None:
    row = {"image_id": image_id(1), "pair_id": 1, "sha256": "", "scores": []}
    with pytest.raises(ValueError, match="have no score of tests:Longer"):
        find_filtered_pairs([pa.RecordBatch.from_pylist([row], PAIR_SCORES)], {"tests:Longer": {"at_least": 0}})


def test_a_model_is_known_by_its_content(folder: Path, tmp_path: Path) -> None:
    other = export_model(tmp_path / "other", seed=1)
    named = [identify_scorer(f"metaclip_dagster.filters:ClipScore(local-dir:{it})") for it in (folder, other)]
    assert named[0].partition("@")[2] != named[1].partition("@")[2]
    assert sees_texts(named[0])
    assert ClipScore.digest(f"local-dir:{folder}") == named[0].partition("@")[2]
    (other / "open_clip_model.safetensors").write_bytes((folder / "open_clip_model.safetensors").read_bytes())
    with pytest.raises(ValueError, match="its model is another than when the run began"):
        load_scorers([named[1]])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("metaclip_dagster.filters:ClipScore", "wants its model in parentheses"),
        ("metaclip_dagster.filters:shorter_side(x)", "takes none"),
        ("metaclip_dagster.filters:ClipScore(local-dir:/nowhere)", "has no open_clip_config.json"),
        ("metaclip_dagster.filters:ClipScore(ViT-B-32:noweights)", "neither a file nor one of its tags"),
        ("metaclip_dagster.filters:ClipScore(", "name an importable function"),
    ],
)
def test_a_scorer_without_its_model_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        identify_scorer(name)
