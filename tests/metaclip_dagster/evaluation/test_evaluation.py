"""Laws of zero-shot evaluation, and that CLIP_benchmark gives the same (Radford et al. 2021, section 3.1)."""

import io
import json
import math
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from metaclip_dagster.evaluation import (
    LoadedModel,
    evaluate,
    load_model,
    predict_samples,
    read_task,
    score_classes,
    score_model,
    task_version,
)
from metaclip_dagster.evaluation.images import Sample, decode_image, read_samples
from metaclip_dagster.evaluation.scoring import (
    Classified,
    rank_answers,
    retrieve,
    roc_auc,
    score_classified,
    score_retrieved,
)
from metaclip_dagster.schemas import CLASS_SCORES, SAMPLE_PREDICTIONS, SCORES
from tests.metaclip_dagster.training.test_loading import Bomb
from tests.metaclip_dagster.training_sets import write_tar
from tests.metaclip_dagster.zero_shot import MODEL, classified, draw, encode, export_model, write_task

COLOURS = ["red dog", "green cat", "blue whale", "pink car", "a house", "tree", "water"]
NAMES = "\n".join(COLOURS) + "\n"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def loaded(exported: Path) -> LoadedModel:
    return load_model(f"local-dir:{exported}")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tars, keys inside a folder in one of them, two templates, two parts."""
    generator = np.random.default_rng(0)
    first, second = (classified(generator.integers(0, 7, 30).tolist(), suffix) for suffix in ("png", "jpg"))
    return write_task(
        tmp_path_factory.mktemp("tasks") / "colours",
        [first, [(f"in/{name}", content) for name, content in second]],
        classnames=NAMES,
        zeroshot_classification_templates="a photo of a {c}.\nart of the {c}\n",
        groups="class\tpart\n0\thead\n1\thead\n3\ttail\n4\ttail\n5\ttail\n",
    )


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    members = []
    for at in range(40):
        text = "\n".join(f"{COLOURS[at % 7]} number {at * at} seen from side {side}" for side in range(1 + at % 3))
        members += [(f"s{at:04}.png", draw(at)), (f"s{at:04}.txt", text.encode())]
    return write_task(tmp_path_factory.mktemp("tasks") / "captions", [members], dataset_type="retrieval\n")


def scores_of(table: Any, part: str = "all") -> dict[str, float]:
    return {row["metric"]: row["score"] for row in table.to_pylist() if row["part"] == part}


# Metrics


def test_scores_of_a_hand_made_table_are_those_of_pencil_and_paper() -> None:
    similarity = np.array(
        [
            [0.9, 0.1, 0.2, 0.3, 0.4, 0.5],  # class 0: first
            [0.9, 0.8, 0.2, 0.3, 0.4, 0.5],  # class 1: second
            [0.1, 0.6, 0.5, 0.4, 0.3, 0.2],  # class 0: sixth
            [0.0, 0.0, 0.7, 0.0, 0.0, 0.0],  # class 2: first
        ],
        np.float32,
    )
    class_ids = np.array([0, 1, 0, 2])
    ranks = rank_answers(similarity, class_ids)
    assert ranks.tolist() == [0, 1, 5, 0]
    scores = score_classified(Classified(6, class_ids, ranks, similarity.argmax(axis=1), np.zeros(4)))
    assert {name: score.value for name, score in scores.items()} == {
        "acc1": 0.5,
        "acc5": 0.75,
        "mean_per_class": pytest.approx((1 / 2 + 0 + 1) / 3),
        "acc1_acc5": 0.625,
        "f1_macro": pytest.approx((2 / (2 + 2) + 0 + 2 / (1 + 1)) / 3),
    }
    assert [scores[name].chance for name in ("acc1", "acc5", "mean_per_class")] == pytest.approx([1 / 6, 5 / 6, 1 / 6])


def test_retrieval_of_three_images_and_four_captions_is_that_of_pencil_and_paper() -> None:
    images = np.eye(3, dtype=np.float32)
    texts = np.array([[0.9, 0.1, 0], [0.0, 0.2, 0.9], [0.1, 0.8, 0.2], [0.8, 0.0, 0.1]], np.float32)
    answers = retrieve(images, texts, np.array([1, 2, 1]))
    # Captions 0, 1 | 2 and 3 belong to images 0, 1 and 2.
    assert answers.image_rank.tolist() == [0, 1, 0, 1]
    assert answers.text_rank.tolist() == [0, 0, 2]
    scores = score_retrieved(answers)
    assert scores["image_retrieval_recall@1"] == pytest.approx((1 / 2, 1 / 3))
    assert scores["text_retrieval_recall@1"] == pytest.approx((2 / 3, (1 / 4 + 1 / 2 + 1 / 4) / 3))
    assert scores["mean_recall@1"].value == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert scores["image_retrieval_recall@5"] == scores["text_retrieval_recall@5"] == (1.0, 1.0)


@settings(max_examples=60)
@given(st.integers(1, 12), st.integers(1, 9), st.integers(0, 10_000))
def test_a_place_counts_what_a_stable_sort_puts_first(rows: int, columns: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    similarity = generator.integers(0, 4, (rows, columns)).astype(np.float32)
    right = generator.integers(0, columns, rows)
    order = np.argsort(-similarity, axis=1, kind="stable")
    assert rank_answers(similarity, right).tolist() == [
        row.tolist().index(column) for row, column in zip(order, right, strict=True)
    ]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2).filter(lambda of: len({p for _, p in of}) == 2)
)
def test_the_area_under_the_curve_is_the_share_of_pairs_in_order(scored: list[tuple[int, bool]]) -> None:
    positives, negatives = ([score for score, positive in scored if positive is kind] for kind in (True, False))
    won = [(p > n) + (p == n) / 2 for p in positives for n in negatives]
    score, positive = (np.array(column) for column in zip(*scored, strict=True))
    assert roc_auc(score.astype(np.float64), positive) == pytest.approx(np.mean(won))


def test_guessing_gives_chance_in_the_mean() -> None:
    generator = np.random.default_rng(0)
    class_ids = np.repeat(np.arange(8), 500)
    similarity = generator.random((4000, 8), np.float32)
    guessed = score_classified(
        Classified(8, class_ids, rank_answers(similarity, class_ids), similarity.argmax(axis=1), np.zeros(4000))
    )
    counts = np.arange(300) % 5 + 1
    images, texts = (generator.standard_normal((n, 64)).astype(np.float32) for n in (300, counts.sum()))
    for score in [*guessed.values(), *score_retrieved(retrieve(images, texts, counts)).values()]:
        assert score.value == pytest.approx(score.chance, abs=0.03)


def test_a_model_whose_training_diverged_has_no_score(colours: Path, captions: Path, exported: Path) -> None:
    broken = load_model(f"local-dir:{exported}")
    broken.model.visual.proj.data[:] = math.nan
    for folder in (colours, captions):
        with pytest.raises(ValueError, match="not finite"):
            evaluate(read_task(folder), broken)


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("wds_fgvc_aircraft", "mean_per_class"),
        ("FGVCAircraft", "mean_per_class"),
        ("wds_vtab-pets", "mean_per_class"),
        ("OxfordPets", "mean_per_class"),
        ("wds_vtab-caltech101", "mean_per_class"),
        ("Caltech101", "mean_per_class"),
        ("wds_vtab-flowers_test", "mean_per_class"),
        ("Flowers102", "mean_per_class"),
        ("Kinetics700", "acc1_acc5"),
        ("HatefulMemes", "roc_auc"),
        ("wds_wilds-iwildcam_test", "f1_macro"),
        ("wds_imagenet1k", "acc1"),
        ("twemoji", "acc1"),
        ("my-pets-and-cars", "acc1"),
    ],
)
def test_the_main_metric_is_clips_own(name: str, metric: str, tmp_path: Path) -> None:
    assert read_task(write_task(tmp_path / name, [[]], classnames="a\nb\n")).metric == metric


@pytest.mark.parametrize("name", ["wds_dollar_street", "wds_wilds-fmow_test", "geode", "wds_misc-winogavil"])
def test_a_task_that_datacomp_scores_by_what_is_not_built_is_never_scored_by_top_1_unsaid(
    name: str, tmp_path: Path
) -> None:
    folder = write_task(tmp_path / name, [[]], classnames="a\nb\n")
    with pytest.raises(ValueError, match=r"DataComp scores this task by .*, which is not computed.*metric\.txt"):
        read_task(folder)
    spoil(folder, "metric.txt", "acc1")
    assert read_task(folder).metric == "acc1"


def test_an_empty_class_name_is_a_name(tmp_path: Path) -> None:
    names = "0 objects\n1 object\n\n3 objects\n"
    class_names = read_task(write_task(tmp_path / "count", [[]], classnames=names)).class_names
    assert class_names == ("0 objects", "1 object", "", "3 objects")


# Tables


def test_scores_name_the_cell_and_repeat_the_tasks_own_metric(colours: Path, loaded: LoadedModel) -> None:
    cell: dict[str, Any] = {"training_set": "online-20", "model_name": "tiny-s1", "seed": 1, "pairs_seen": 30720}
    table = score_model(read_task(colours), model=loaded, **cell)
    assert table.schema == SCORES
    rows = table.to_pylist()
    assert {row["task"] for row in rows} == {"colours"}
    assert {(row["training_set"], row["model"], row["seed"], row["pairs_seen"]) for row in rows} == {
        ("online-20", "tiny-s1", 1, 30720)
    }
    assert scores_of(table)["main"] == scores_of(table)["acc1"]
    assert [row["num_images"] for row in rows if row["metric"] == "main"] == [60]
    assert {row["task_version"] for row in rows} == {task_version(colours)}
    baseline = score_model(read_task(colours), model=loaded, model_name="baseline")
    assert set(baseline["training_set"].to_pylist()) == {None}
    assert scores_of(baseline) == scores_of(table)


def test_scores_are_the_mean_of_class_scores(colours: Path, loaded: LoadedModel) -> None:
    task = read_task(colours)
    scores, classes = score_model(task, model=loaded, model_name="m"), score_classes(task, model=loaded)
    assert classes.schema == CLASS_SCORES
    rows = classes.to_pylist()
    assert [row["class_name"] for row in rows] == COLOURS
    assert [row["part"] for row in rows] == ["head", "head", None, "tail", "tail", "tail", None]
    for part, part_rows in [("all", rows), *((p, [r for r in rows if r["part"] == p]) for p in ("head", "tail"))]:
        number = sum(row["num_images"] for row in part_rows)
        for metric in ("acc1", "acc5"):
            mean = sum(row[metric] * row["num_images"] for row in part_rows if row["num_images"]) / number
            assert scores_of(scores, part)[metric] == pytest.approx(mean)
        mean = np.mean([row["acc1"] for row in part_rows if row["num_images"]])
        assert scores_of(scores, part)["mean_per_class"] == pytest.approx(mean)
    assert scores_of(scores, "head").keys() == {"acc1", "acc5", "mean_per_class"}


def test_every_image_is_given_the_name_that_is_most_similar_and_counts_once(colours: Path, loaded: LoadedModel) -> None:
    import open_clip
    import torch

    task = read_task(colours)
    table, samples = predict_samples(task, model=loaded, batch_size=7), list(read_samples(task))
    with torch.no_grad():
        formats = [lambda name, template=template: template.replace("{c}", name) for template in task.templates]
        names = open_clip.build_zero_shot_classifier(loaded.model, loaded.tokenizer, task.class_names, formats)
        images = torch.stack([loaded.preprocess(decode_image(sample)) for sample in samples])
        logits = loaded.model.encode_image(images, normalize=True) @ names
    assert table["predicted_class_id"].to_pylist() == logits.argmax(1).tolist()
    assert table["class_id"].to_pylist() == [sample.class_id for sample in samples]
    assert table["sample"].to_pylist() == [*range(60)]
    rows = table.to_pylist()
    assert all((row["rank"] == 0) == (row["class_id"] == row["predicted_class_id"]) for row in rows)
    scores = scores_of(score_model(task, model=loaded, model_name="m"))
    assert [np.mean([row["rank"] < k for row in rows]) for k in (1, 5)] == [scores["acc1"], scores["acc5"]]


def test_a_class_without_images_has_no_score(tmp_path: Path, loaded: LoadedModel) -> None:
    task = read_task(write_task(tmp_path / "few", [classified([0, 0, 2])], classnames="a\nb\nc\n"))
    rows = score_classes(task, model=loaded).to_pylist()
    assert [(row["num_images"], row["acc1"] is None) for row in rows] == [(2, False), (0, True), (1, False)]


def test_retrieval_has_scores_and_neither_class_scores_nor_predictions(captions: Path, loaded: LoadedModel) -> None:
    task = read_task(captions)
    scores = score_model(task, model=loaded, model_name="m")
    assert set(scores["num_classes"].to_pylist()) == {0}
    assert set(scores["num_images"].to_pylist()) == {40}
    assert scores_of(scores)["main"] == scores_of(scores)["mean_recall@1"]
    assert score_classes(task, model=loaded) == CLASS_SCORES.empty_table()
    assert predict_samples(task, model=loaded) == SAMPLE_PREDICTIONS.empty_table()


def test_two_classes_have_an_area_under_the_curve(tmp_path: Path, loaded: LoadedModel) -> None:
    folder = write_task(tmp_path / "wds_hateful_memes", [classified([0, 1] * 10)], classnames="kind\nhateful\n")
    scores = scores_of(score_model(read_task(folder), model=loaded, model_name="m"))
    answers = evaluate(read_task(folder), loaded)["en"].answers
    assert isinstance(answers, Classified)
    assert scores["main"] == scores["roc_auc"] == roc_auc(answers.margin, answers.class_id == 1)
    assert ((answers.margin > 0) == ((answers.rank == 0) == (answers.class_id == 1))).all()


# Evaluation


def test_scores_do_not_depend_on_the_batch(colours: Path, captions: Path, loaded: LoadedModel) -> None:
    for folder in (colours, captions):
        task, score_tables = read_task(folder), []
        for batch_size in (7, 256):
            model = replace(loaded, evaluations={})
            score_tables.append(scores_of(score_model(task, model=model, model_name="m", batch_size=batch_size)))
        assert score_tables[0] == score_tables[1]


def test_a_task_is_embedded_once_for_all_tables_and_anew_when_it_changed(tmp_path: Path, exported: Path) -> None:
    folder = write_task(tmp_path / "t", [classified([0, 1, 1])], classnames="a\nb\n")
    model, asked = load_model(f"local-dir:{exported}"), list[int]()
    model.model.visual.register_forward_hook(lambda tower, images, embedded: asked.append(len(embedded)))
    score_model(read_task(folder), model=model, model_name="m")
    score_classes(read_task(folder), model=model)
    predict_samples(read_task(folder), model=model)
    assert asked == [3]
    write_tar(folder / "test" / "0.tar", classified([0, 1]))
    score_classes(read_task(folder), model=model)
    assert asked == [3, 2]


def test_braces_in_names_and_templates_are_only_braces(tmp_path: Path, loaded: LoadedModel) -> None:
    import open_clip
    import torch

    texts = {"classnames": "{x}\n{0} {c}\n", "zeroshot_classification_templates": "{{ {c} } {y}\n"}
    task = read_task(write_task(tmp_path / "braces", [classified([0, 1, 1, 0])], **texts))
    answers = evaluate(task, loaded)["en"].answers
    asked = loaded.tokenizer(["{{ {x} } {y}", "{{ {0} {c} } {y}"])
    with torch.no_grad():
        names = loaded.model.encode_text(asked, normalize=True)
        images = torch.stack([loaded.preprocess(decode_image(sample)) for sample in read_samples(task)])
        nearest = (loaded.model.encode_image(images, normalize=True) @ names.T).argmax(1)
    assert isinstance(answers, Classified)
    assert (answers.rank == 0).tolist() == (nearest == torch.tensor([0, 1, 1, 0])).tolist()
    assert open_clip.__version__ == "3.3.0"


def test_folders_of_classes_score_as_the_same_images_in_a_tar(tmp_path: Path, loaded: LoadedModel) -> None:
    classes, names = [0, 1, 1, 2, 0, 2, 2], sorted(COLOURS[:3])
    tar = write_task(tmp_path / "tar", [classified(classes)], classnames="\n".join(names))
    for at, number in enumerate(classes):
        path = tmp_path / "plain" / names[number] / f"{at}.PNG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(draw(at))
    (tmp_path / "plain" / ".git").mkdir()
    plain, same = (score_model(read_task(folder), model=loaded, model_name="m") for folder in (tmp_path / "plain", tar))
    assert scores_of(plain) == scores_of(same)
    assert read_task(tmp_path / "plain").class_names == tuple(names)


def test_of_two_classes_with_one_name_the_first_wins(tmp_path: Path, loaded: LoadedModel) -> None:
    task = read_task(write_task(tmp_path / "twice", [classified([0, 1] * 5)], classnames="same\nsame\n"))
    assert [row["acc1"] for row in score_classes(task, model=loaded).to_pylist()] == [1.0, 0.0]


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "1", "LA", "RGBA"])
def test_images_of_every_mode_are_read_and_what_is_transparent_is_white(mode: str) -> None:
    image = Image.new("RGBA", (3, 2), (10, 20, 30, 0)) if mode.endswith("A") else Image.new("RGB", (3, 2), "red")
    decoded = decode_image(Sample("x", encode(image.convert(mode), "jpg" if mode == "CMYK" else "png")))
    assert (decoded.mode, decoded.size) == ("RGB", (3, 2))
    if mode.endswith("A"):
        assert decoded.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("format_", ["webp", "gif", "bmp", "jpg"])
def test_images_are_known_by_their_content(format_: str) -> None:
    assert decode_image(Sample("x.png", draw(0, format_))).size == (20, 24)


# Tasks that cannot be scored


def spoil(folder: Path, file: str, content: str | bytes | None) -> None:
    path = folder / file
    if content is None:
        path.unlink()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("classnames.txt", None, r"classnames\.txt: is missing"),
        ("classnames.txt", "\n\n", "names no class"),
        ("classnames.txt", b"\xff\xfe", r"classnames\.txt: is not UTF-8"),
        ("zeroshot_classification_templates.txt", "a {c}\na photo\n", r"templates\.txt, line 2: has no \{c\}"),
        ("zeroshot_classification_templates.txt", "", r"templates\.txt, line 1: has no \{c\}"),
        (
            "dataset_type.txt",
            "multilabel",
            "'multilabel' is not scored; only classification, ",
        ),
        ("metric.txt", "f1", "'f1' is no metric of classification; one of acc1"),
        ("metric.txt", "roc_auc", "roc_auc is for two classes, not 7"),
        ("test/nshards.txt", None, r"nshards\.txt is missing"),
        ("test/nshards.txt", "zero", "'zero' is not a number of tars"),
        ("test/nshards.txt", "0", "'0' is not a number of tars"),
        ("test/nshards.txt", "3", r"promises 3 tars, but .*2\.tar is missing"),
        ("groups.tsv", "name\tgroup\n", "line 1: wants the columns class and part"),
        ("groups.tsv", "class\tpart\n0\thead\n7\ttail\n", r"line 3: class '7' is unknown; the task's are 0 to 6"),
        ("groups.tsv", "class\tpart\n-1\thead\n", "class '-1' is unknown"),
        ("groups.tsv", "class\tname\tpart\n0\tred cat\thead\n", "class 0 is 'red dog', not 'red cat'"),
        ("groups.tsv", "class\tpart\n0\tmiddle\n", "is head or tail, not 'middle'"),
        ("groups.tsv", "class\tpart\n0\thead\n0\ttail\n", "line 3: each class has one line"),
        ("groups.tsv", "class\tpart\n0\n", "line 2: has 1 columns and the header 2"),
    ],
)
def test_a_task_that_cannot_be_understood_is_told_by_file_and_line(
    colours: Path, tmp_path: Path, file: str, content: str | bytes | None, message: str
) -> None:
    folder = Path(shutil.copytree(colours, tmp_path / "spoilt"))
    spoil(folder, file, content)
    with pytest.raises(ValueError, match=message) as raised:
        read_task(folder)
    assert str(folder) in str(raised.value)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a.cls", b"7"), ("a.png", draw(0))], r"a\.cls: '7' is no class; .* 0 to 6"),
        ([("a.cls", b"-1"), ("a.png", draw(0))], "'-1' is no class"),
        ([("a.png", draw(0))], "'' is no class"),
        ([("a.cls", b"1")], "a: has 0 images"),
        ([("a.cls", b"1"), ("a.tif", draw(0))], "a: has 0 images"),
        ([("a.cls", b"1"), ("a.png", draw(0)), ("a.jpg", draw(0))], "a: has 2 images"),
        ([("a.cls", b"1"), ("a.png", draw(0)), ("a.png", draw(0))], "occurs twice"),
        ([("a.cls", b"1"), ("a.png", b"no image")], r"0\.tar: a: its image cannot be read"),
        ([("a.cls", b"1"), ("a.png", draw(0)[:-40])], "cannot be read"),
        ([("a.cls", b"1"), ("a.png", encode(Image.new("1", (30_000, 3_000))))], "90000000|30000 x 3000|bomb"),
        ([], "has no image to score"),
        ([("README", b"nothing")], "has no image to score"),
    ],
)
def test_an_image_that_cannot_be_scored_is_named_and_not_left_out(
    tmp_path: Path, loaded: LoadedModel, members: list[tuple[str, bytes]], message: str
) -> None:
    folder = write_task(tmp_path / "bad", [members], classnames=NAMES)
    with pytest.raises(ValueError, match=message) as raised:
        evaluate(read_task(folder), loaded)
    assert str(folder) in str(raised.value)


def test_a_tar_that_is_cut_off_or_damaged_anywhere_is_refused(tmp_path: Path, colours: Path) -> None:
    folder = Path(shutil.copytree(colours, tmp_path / "cut"))
    tar = folder / "test" / "0.tar"
    whole = tar.read_bytes()
    with tarfile.open(tar) as members:
        at = [member.offset for member in members]
    damaged = bytearray(whole)
    damaged[at[20] : at[20] + 512] = b"\xaa" * 512
    for content in [whole[: at[20]], whole[: at[20] + 100], whole[: at[20] + 515], bytes(damaged), b"", b"x" * 4096]:
        tar.write_bytes(content)
        with pytest.raises(ValueError, match=r"0\.tar: is no whole, uncompressed tar"):
            list(read_samples(read_task(folder)))


def test_links_in_a_tar_are_refused(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "links", [classified([0])], classnames="a\n")
    with tarfile.open(folder / "test" / "0.tar", "a") as tar:
        link = tarfile.TarInfo("b.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(ValueError, match=r"b\.png: is a link"):
        list(read_samples(read_task(folder)))


def test_a_member_too_large_to_be_an_image_is_not_read(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "large", [[]], classnames="a\n")
    info = tarfile.TarInfo("a.png")
    info.size = 1 << 40
    (folder / "test" / "0.tar").write_bytes(info.tobuf() + bytes(1024))
    with pytest.raises(ValueError, match=r"a\.png: has 1,099,511,627,776 bytes|no whole"):
        list(read_samples(read_task(folder)))


def test_a_folder_of_classes_holds_images_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        read_task(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="neither"):
        read_task(tmp_path)
    spoil(tmp_path, "cat/1.png", draw(0))
    spoil(tmp_path, "cat/2.heic", "")
    with pytest.raises(ValueError, match=r"2\.heic: is not one of jpg"):
        list(read_samples(read_task(tmp_path)))


def test_a_caption_is_asked_of_every_image(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "mute", [[("a.png", draw(0)), ("a.txt", b" \n")]], dataset_type="retrieval")
    with pytest.raises(ValueError, match=r"a: has no \.txt with a caption a line"):
        list(read_samples(read_task(folder)))


def test_a_tasks_version_follows_its_files_but_for_what_it_says_of_itself(colours: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(colours, tmp_path / "again"))
    spoil(folder, "README.md", "# colours\nseven namse\n")
    assert task_version(folder) == task_version(colours) == read_task(colours).version
    spoil(folder, "test/README.md", "")
    other = task_version(folder)
    spoil(folder, "metric.txt", "acc5")
    assert len({task_version(folder), other, task_version(colours)}) == 3
    assert read_task(folder).metric == "acc5"


# Models


def test_weights_of_a_training_checkpoint_are_those_of_its_export(
    exported: Path, colours: Path, tmp_path: Path, architecture: str
) -> None:
    import torch
    from safetensors.torch import load_file

    state = load_file(exported / "open_clip_model.safetensors")
    file = tmp_path / "epoch_3.pt"
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}, file)
    loaded = load_model(architecture, str(file))
    assert not loaded.model.training
    for name, value in loaded.model.state_dict().items():
        assert torch.equal(value, state[name])
    shutil.copy(exported / "open_clip_model.safetensors", tmp_path / "w.safetensors")
    again = load_model(architecture, str(tmp_path / "w.safetensors"))
    task = read_task(colours)
    assert scores_of(score_model(task, model=again, model_name="m")) == scores_of(
        score_model(task, model=loaded, model_name="m")
    )


@pytest.fixture(scope="module")
def architecture(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tiny model's architecture, under a name that open_clip knows."""
    import open_clip

    path = tmp_path_factory.mktemp("configs") / "tiny-of-tests.json"
    path.write_text(json.dumps(MODEL), encoding="utf-8")
    open_clip.add_model_config(path)
    return path.stem


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".safetensors"])
@pytest.mark.parametrize("kind", ["pickle", "torch", "text", "empty", "other tensors", "no tensors"])
def test_a_file_that_is_no_weights_is_refused_and_runs_nothing(
    kind: str, suffix: str, tmp_path: Path, architecture: str
) -> None:
    import torch

    trap, file = tmp_path / "it-ran", tmp_path / f"weights{suffix}"
    stream = io.BytesIO()
    if kind in ("torch", "other tensors", "no tensors"):
        whole: dict[str, Any] = {
            "torch": {"state_dict": Bomb(trap)},
            "other tensors": {"a": torch.zeros(2)},
            "no tensors": {"state_dict": {"visual.proj": "text"}},
        }
        torch.save(whole[kind], stream)
    contents = {"pickle": pickle.dumps({"state_dict": Bomb(trap)}), "text": b"<html></html>", "empty": b""}
    file.write_bytes(contents.get(kind, stream.getvalue()))
    with pytest.raises(ValueError, match=f"weights{suffix}: cannot be read as weights of {architecture}") as raised:
        load_model(architecture, str(file))
    assert not trap.exists()
    assert len(str(raised.value)) < 1000


def test_the_malicious_file_would_run_if_it_were_let(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "it-ran")))
    assert (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    ("name", "pretrained", "message"),
    [
        ("ViT-B-32-quickgellu", "metaclip_400m", r"no model 'ViT-B-32-quickgellu'; near it are ViT-B-32-quickgelu"),
        ("ViT-B-32-quickgelu", "metaclip400m", r"neither a file nor one of its tags; near it are metaclip_400m"),
        ("ViT-B-32-quickgelu", None, r"name its weights, .*metaclip_400m, metaclip_fullcc"),
        ("ViT-B-32", "metaclip_400m", r"another activation; its model is ViT-B-32-quickgelu"),
        ("ViT-B-32-quickgelu", "pyproject.toml", r"pyproject\.toml: is none of \.safetensors"),
        ("local-dir:/no/such/folder", None, r"/no/such/folder: has no open_clip_config\.json"),
    ],
)
def test_an_unknown_model_is_told_with_what_is_near_it(name: str, pretrained: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_model(name, pretrained)


def test_an_export_that_would_fetch_from_elsewhere_is_refused(exported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "foreign"))
    config = json.loads((folder / "open_clip_config.json").read_text("utf-8"))
    config["model_cfg"]["text_cfg"] |= {"hf_tokenizer_name": "x/y", "tokenizer_kwargs": {"trust_remote_code": True}}
    spoil(folder, "open_clip_config.json", json.dumps(config))
    with pytest.raises(ValueError, match="hf_tokenizer_name, tokenizer_kwargs would load"):
        load_model(f"local-dir:{folder}")
    spoil(folder, "open_clip_config.json", "{}")
    with pytest.raises(ValueError, match="describes no model"):
        load_model(f"local-dir:{folder}")
    spoil(folder, "open_clip_model.safetensors", None)
    with pytest.raises(ValueError, match=r"has no open_clip_model\.safetensors"):
        load_model(f"local-dir:{folder}")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a hub that nobody listens at: what the environment would set before the first import."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path


@pytest.mark.parametrize(("offline", "why"), [(False, "the Hub does not answer"), (True, "HF_HUB_OFFLINE is set")])
def test_weights_out_of_reach_are_told_within_seconds(
    offline: bool, why: str, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    started = time.monotonic()
    with pytest.raises(FileNotFoundError, match=f"'metaclip_400m' are not in the cache, and {why}") as raised:
        load_model("ViT-B-32-quickgelu", "metaclip_400m")
    assert time.monotonic() - started < 5  # the client's own retries would last a minute
    message = str(raised.value)
    assert message.startswith("ViT-B-32-quickgelu: ")
    assert "hf download timm/vit_base_patch32_clip_224.metaclip_400m" in message
    assert f"HF_HUB_CACHE to that cache (now {hub})" in message


def test_weights_in_the_cache_need_no_network(hub: Path) -> None:
    cached = hub / "models--timm--vit_base_patch32_clip_224.metaclip_400m"
    commit = "0" * 40
    spoil(cached, "refs/main", commit)
    spoil(cached, f"snapshots/{commit}/open_clip_model.safetensors", "not weights")
    with pytest.raises(ValueError, match=f"snapshots/{commit}/open_clip_model.safetensors: cannot be read as weights"):
        load_model("ViT-B-32-quickgelu", "metaclip_400m")


# Others' evaluators


@pytest.fixture(scope="session")
def clip_benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CLIP_benchmark in a folder of its own: it is no dependency, and breaks on numpy 2.4."""
    folder = tmp_path_factory.mktemp("clip_benchmark")
    packages = ["clip_benchmark==1.6.2", "numpy==2.3.5", "scikit-learn==1.9.1", "scipy==1.17.1", "joblib==1.6.0"]
    packages += ["threadpoolctl==3.8.0", "narwhals==2.29.0"]
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        pytest.skip("uv, which would install CLIP_benchmark, is not there")
    command = [uv, "pip", "install", "--python", sys.executable, "--target", str(folder), "--no-deps", *packages]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if run.returncode:
        pytest.skip(f"CLIP_benchmark cannot be installed here: {run.stderr.strip()[-300:]}")
    return folder


@pytest.mark.night
def test_clip_benchmark_gives_the_same(
    clip_benchmark: Path, exported: Path, colours: Path, captions: Path, loaded: LoadedModel
) -> None:
    script = Path(__file__).with_name("clip_benchmark_scores.py")
    command = [sys.executable, str(script), f"local-dir:{exported}", str(colours), str(captions)]
    environment = {**os.environ, "PYTHONPATH": str(clip_benchmark)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr[-2000:]
    of_clip_benchmark = json.loads(run.stdout.splitlines()[-1])
    of_clip_benchmark[0]["mean_per_class"] = of_clip_benchmark[0].pop("mean_per_class_recall")
    for folder, expected in zip((colours, captions), of_clip_benchmark, strict=True):
        scores = scores_of(score_model(read_task(folder), model=loaded, model_name="m"))
        assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-6)
        assert len(set(expected.values())) > 2  # a model that finds one answer for all would show nothing
