"""Laws of scores by language: what each layout says, what leaves what alone, and chance by pencil and paper."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaclip_dagster.evaluation import (
    LoadedModel,
    evaluate,
    load_model,
    predict_samples,
    read_task,
    score_classes,
    score_model,
)
from metaclip_dagster.evaluation.images import decode_image, read_samples
from metaclip_dagster.evaluation.scoring import Chosen, Classified, score_chosen
from metaclip_dagster.evaluation.tasks import Task
from tests.metaclip_dagster.zero_shot import classified, draw, export_model, write_task

CLASSES = [0, 1, 2, 2, 0, 1, 1]
NAMES = "dog\ncat\nwhale\n"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(f"local-dir:{export_model(tmp_path_factory.mktemp('models') / 'tiny')}")


def write_animals(folder: Path, languages: Mapping[str, str], **texts: str) -> Path:
    """Seven images of three classes, with names in further languages; a name with a dot is a file of `languages/`."""
    write_task(folder, [classified(CLASSES)], classnames=NAMES, **texts)
    for name, text in languages.items():
        path = folder / "languages" / (name if "." in name else f"{name}/classnames.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def rows_of(task: Task, model: LoadedModel, languages: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Every row of the three tables by language, without the task's version."""
    model, rows = replace(model, evaluations={}), dict[str, list[dict[str, Any]]]()
    tables = [score_model(task, model=model, model_name="m", languages=languages)]
    tables += [stage(task, model=model, languages=languages) for stage in (score_classes, predict_samples)]
    for row in (row for table in tables for row in table.to_pylist()):
        rows.setdefault(row["language"], []).append({**row, "task_version": "", "task": ""})
    return rows


def score_of(rows: list[dict[str, Any]], metric: str = "acc1", part: str = "all") -> dict[str, Any]:
    return next(row for row in rows if (row.get("metric"), row.get("part")) == (metric, part))


# Classification


def test_one_language_changes_nothing_in_another(tmp_path: Path, loaded: LoadedModel) -> None:
    german, french = "Hund\nKatze\nWal\n", "chien\nchat\nbaleine\n"
    alone = rows_of(read_task(write_animals(tmp_path / "alone", {})), loaded, ["en"])
    both = read_task(write_animals(tmp_path / "both", {"de": german, "fr": french}))
    rows = rows_of(both, loaded, ["fr", "de"])
    assert list(rows) == ["en", "de", "fr"]
    assert rows == rows_of(both, loaded, ["de", "fr", "en"]) == rows_of(both, loaded, ["all"])
    assert alone == rows_of(both, loaded, ["en"]) == {"en": rows["en"]}
    # One name less in French: neither German nor what is left of French changes by it but for the names to choose from.
    fewer = rows_of(
        read_task(write_animals(tmp_path / "fewer", {"de": german, "fr": "chien\n\nbaleine\n"})), loaded, ["all"]
    )
    assert (fewer["en"], fewer["de"]) == (rows["en"], rows["de"])
    accuracy = score_of(fewer["fr"])
    assert (accuracy["num_images"], accuracy["num_classes"], accuracy["chance"]) == (4, 2, 1 / 2)
    assert {row["class_id"] for row in fewer["fr"] if "class_id" in row} == {0, 2}
    assert [row["sample"] for row in fewer["fr"] if "sample" in row] == [0, 2, 3, 4]


def test_a_task_in_another_language_scores_as_the_same_words_in_a_further_one(
    tmp_path: Path, loaded: LoadedModel
) -> None:
    mono = write_task(tmp_path / "own", [classified(CLASSES)], classnames="a\nb\nc\n", language="de\n")
    for folder in (mono, write_animals(tmp_path / "further", {"de": "a\nb\nc\n"})):
        (folder / "zeroshot_classification_templates.txt").write_text("ein {c}\n", encoding="utf-8")
    (tmp_path / "further/languages/de/zeroshot_classification_templates.txt").write_text("ein {c}\n", encoding="utf-8")
    further = rows_of(read_task(tmp_path / "further"), loaded, ["de"])["de"]
    assert rows_of(read_task(mono), loaded, ["en"]) == {"de": further}


def test_several_names_of_a_class_are_scored_as_one_and_equal_ones_count_once(
    tmp_path: Path, loaded: LoadedModel
) -> None:
    import torch

    folder = write_animals(tmp_path / "t", {"de": "Hund\nKatze\tKater\nWal\n"})
    (folder / "languages/de/zeroshot_classification_templates.txt").write_text("ein {c}\n{c} da\n", encoding="utf-8")
    predicted = predict_samples(read_task(folder), model=loaded, languages=["de"]).to_pylist()
    prompts = [["ein Hund", "Hund da"], ["ein Katze", "ein Kater", "Katze da", "Kater da"], ["ein Wal", "Wal da"]]
    with torch.inference_mode():
        embedded = [loaded.model.encode_text(loaded.tokenizer(of), normalize=True).mean(0) for of in prompts]
        names = torch.stack([mean / mean.norm() for mean in embedded])
    answers = evaluate(read_task(folder), loaded, languages=["de"])["de"].answers
    assert [row["class_id"] for row in predicted if row["language"] == "de"] == CLASSES
    assert isinstance(answers, Classified)
    with torch.inference_mode():
        images = torch.stack([loaded.preprocess(decode_image(sample)) for sample in read_samples(read_task(folder))])
        similarity = (loaded.model.encode_image(images, normalize=True) @ names.T).numpy()
    assert answers.margin == pytest.approx(similarity[:, 2] - similarity[:, 0], abs=1e-6)
    assert [row["predicted_class_id"] for row in predicted if row["language"] == "de"] == similarity.argmax(1).tolist()
    once, twice = (
        rows_of(read_task(write_animals(tmp_path / name, {"de": text})), loaded, ["de"])["de"]
        for name, text in (("once", "Hund\nKatze\nWal\n"), ("twice", "Hund\tHund\nKatze\nWal\tWal\tWal\n"))
    )
    assert once == twice


def test_published_files_are_read_as_own_folders_are(tmp_path: Path, loaded: LoadedModel) -> None:
    ours = write_animals(
        tmp_path / "wds_imagenet1k", {"de": "Hund\nKatze\nWal\n", "yue": "\n\n鯨\n", "ja": "犬\n猫\n鯨\n"}
    )
    for language, prompts in (("de", "ein {c}\nmein {c}\n"), ("ja", "{c}の写真\n")):
        (ours / f"languages/{language}/zeroshot_classification_templates.txt").write_text(prompts, encoding="utf-8")
    babel = {"EN": [[0], ["x"]], "DE": [[2, 0, 1], ["Wal", "Hund", "Katze"]], "ZH_YUE": [[2], ["鯨"]]}
    names, templates = {"imagenet1k": ["犬", "猫", "鯨"], "cifar10": ["x"]}, {"imagenet1k": ["{}の写真"]}
    published = {
        "babel_imagenet-298.json": babel,
        "nllb_dist13b_prompts.json": {"DE": ["ein {}", "mein {}"]},
        "jp_classnames.json": names,
        "jp_zeroshot_classification_templates.json": templates,
    }
    texts = {name: json.dumps(content) for name, content in published.items()}
    theirs = read_task(write_animals(tmp_path / "again" / "wds_imagenet1k", texts))
    assert theirs.wordings == read_task(ours).wordings
    assert [wording.language for wording in theirs.wordings] == ["en", "de", "ja", "yue"]
    scores = score_model(theirs, model=loaded, model_name="m", languages=["all"]).to_pylist()
    num_templates = {row["language"]: row["num_templates"] for row in scores}
    assert num_templates == {"en": 1, "de": 2, "ja": 1, "yue": 0}


def test_the_folder_of_languages_is_no_class_whatever_a_file_browser_leaves_there(tmp_path: Path) -> None:
    for name in ("cat", "dog", "languages/de"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "languages/de/classnames.txt").write_text("Katze\nHund\n", encoding="utf-8")
    (tmp_path / "languages/.DS_Store").write_bytes(b"\0")
    assert read_task(tmp_path).class_names == ("cat", "dog")


def test_languages_are_chosen_by_the_lists_that_their_texts_belong_to(tmp_path: Path, loaded: LoadedModel) -> None:
    names = {"yue": "a\nb\nc\n", "hak": "a\nb\nc\n", "tl": "a\nb\nc\n", "de": "a\nb\nc\n"}
    task = read_task(write_animals(tmp_path / "t", names))
    for asked, scored in [
        (["en"], ["en"]),
        (["zh"], ["en", "yue"]),
        (["fil", "other"], ["en", "hak", "tl"]),
        (["all"], ["en", "de", "hak", "tl", "yue"]),
    ]:
        assert list(evaluate(task, loaded, languages=asked)) == scored
    with pytest.raises(ValueError, match="languages to score in: 'German' is no language's code"):
        evaluate(task, loaded, languages=["German"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("de", "Hund\nKatze\n", "has 2 lines and the task 3 classes"),
        ("de", "Hund\nKatze\nWal\nMaus\n", "has 4 lines and the task 3 classes"),
        ("de", "\n\n\n", "de has a name for no class"),
        ("deutsch", NAMES, "'deutsch' is no language's code"),
        ("de/zeroshot_classification_templates.txt", "ein Bild\n", r"line 1: has no \{c\}"),
        ("zh_classical", NAMES, "zh_classical: is of zh, as zh is; keep one"),
        ("simple", NAMES, "simple: is of en, as the task itself is; keep one"),
        ("babel_imagenet.json", '{"DE": [[0, 3], ["Hund", "Maus"]]}', "'DE' names class 3, and the task's are 0 to 2"),
        ("babel_imagenet.json", '{"DE": [[0, 1], ["Hund"]]}', "'DE' is not as many classes as names"),
        ("babel_imagenet.json", "[1]", "is no Babel-ImageNet"),
        ("babel_imagenet.json", "{", "cannot be read as JSON"),
        ("de_classnames.json", '{"cifar10": ["Hund"]}', "has no list of texts for 'animals'"),
        ("de_classnames.json", '{"animals": ["Hund"]}', "'animals' has 1 names and the task 3 classes"),
    ],
)
def test_a_language_that_cannot_be_read_is_named_with_its_file(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    folder = write_animals(tmp_path / "animals", {"zh": NAMES, "de": NAMES, name: content})
    with pytest.raises(ValueError, match=message) as raised:
        read_task(folder)
    assert str(folder / "languages") in str(raised.value)


# Captions


def write_captions(folder: Path, language: str, *, keys: range = range(9)) -> Path:
    members = [
        member
        for at in keys
        for member in ((f"s{at}.png", draw(at)), (f"s{at}.txt", f"{language} {at}\n{language} again {at}".encode()))
    ]
    return write_task(folder, [members], dataset_type="retrieval")


def test_captions_in_further_languages_are_those_of_an_export_or_of_xm3600(tmp_path: Path, loaded: LoadedModel) -> None:
    exports = write_captions(tmp_path / "exports", "en")
    write_captions(exports / "languages/de", "de", keys=range(2, 9))
    images = tmp_path / "xm3600" / "images"
    images.mkdir(parents=True)
    lines = []
    for at in range(9):
        (images / f"s{at}.jpg").write_bytes(draw(at))
        captions = {code: {"caption": [f"{code} {at}", f"{code} again {at}"]} for code in ("en", "de")[: 1 + (at > 1)]}
        lines.append(json.dumps({"image/key": f"s{at}", "image/locale": "en", **captions}))
    (images.parent / "captions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = rows_of(read_task(exports), loaded, ["de"])
    assert rows == rows_of(read_task(images.parent), loaded, ["all"])
    assert {language: {row["num_images"] for row in of} for language, of in rows.items()} == {"en": {9}, "de": {7}}
    alone = rows_of(read_task(write_captions(tmp_path / "alone", "de", keys=range(2, 9))), loaded, [])["en"]
    assert [row["score"] for row in alone] == [row["score"] for row in rows["de"]]
    # Captions of images that are not there.
    (images / "s3.jpg").unlink()
    with pytest.raises(ValueError, match=r"s3\.jpg: is missing"):
        evaluate(read_task(images.parent), replace(loaded, evaluations={}))
    shutil.rmtree(exports / "languages/de")
    write_captions(exports / "languages/de", "de", keys=range(8, 11))
    with pytest.raises(ValueError, match="captions in de are of images that the task lacks, such as 's9'"):
        evaluate(read_task(exports), replace(loaded, evaluations={}))


# Multiple choice


def write_questions(folder: Path, *questions: Mapping[str, Any]) -> Path:
    members = [
        member
        for at, question in enumerate(questions)
        for member in ((f"s{at}.png", draw(at)), (f"s{at}.json", json.dumps(question).encode()))
    ]
    return write_task(folder, [members], dataset_type="multiple choice")


def test_chance_of_multiple_choice_is_one_in_the_options_of_each_question() -> None:
    answers = Chosen(np.array([0, 3, 1]), np.array([0, 2, 1]), np.array([0, 1, 0]), np.array([4, 4, 2]))
    assert tuple(score_chosen(answers)["acc1"]) == pytest.approx((2 / 3, (1 / 4 + 1 / 4 + 1 / 2) / 3))
    options = np.random.default_rng(0).standard_normal((4000, 5))
    ranks = (options[:, :3] > options[:, 3:4]).sum(axis=1)
    guessed = score_chosen(Chosen(np.full(4000, 3), np.zeros(4000, int), ranks, np.full(4000, 4)))["acc1"]
    assert guessed.value == pytest.approx(guessed.chance, abs=0.03)


def test_questions_are_scored_in_their_language_and_in_english(tmp_path: Path, loaded: LoadedModel) -> None:
    english = {"english_question": "What?", "english_options": ["a", "b", "c"]}
    asked = {"question": "Was?", "options": ["a", "b", "c"]}
    folder = write_questions(
        tmp_path / "cvqa",
        {"language": "de", "answer": 0, **asked, **english},
        {"language": "de", "answer": 1, **asked, **english},
        {"language": "ja", "answer": 2, "options": ["犬", "猫", "鯨"], **english},
        {"language": "en", "answer": 3, "question": "Who?", "options": ["I", "you", "she", "we"]},
    )
    rows = rows_of(read_task(folder), loaded, ["all"])
    assert {language: score_of(of)["num_images"] for language, of in rows.items()} == {"en": 4, "de": 2, "ja": 1}
    assert score_of(rows["en"])["chance"] == pytest.approx((3 / 3 + 1 / 4) / 4)
    assert score_of(rows["en"])["num_classes"] == 4
    given = {(row["language"], row["sample"]): row for of in rows.values() for row in of if "sample" in row}
    right = {key: row["class_id"] == row["predicted_class_id"] for key, row in given.items()}
    for language, samples in (("de", [0, 1]), ("ja", [2])):
        assert score_of(rows[language])["score"] == np.mean([right[language, at] for at in samples])
        assert score_of(rows[language], part="english")["score"] == np.mean([right["en", at] for at in samples])
    only = write_questions(tmp_path / "only", {"language": "ja", "answer": 0, "options": ["a", "b"]})
    assert list(evaluate(read_task(only), loaded)) == ["ja"]


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"language": "de", "options": ["a", "b"], "answer": 2}, "answer '2' is no option; they are 0 to 1"),
        ({"language": "de", "options": ["a", "b"], "answer": True}, "answer 'True' is no option"),
        ({"language": "de", "options": ["a"], "answer": 0}, r"has \[1\] options; two at least"),
        ({"language": "de", "options": ["a", ""], "answer": 0}, "wants a list of texts"),
        ({"language": "de", "options": ["a", "b"], "english_options": ["a"], "answer": 0}, r"has \[1, 2\] options"),
        ({"options": ["a", "b"], "answer": 0}, "'None' is no language's code"),
    ],
)
def test_a_question_that_cannot_be_scored_is_named(
    tmp_path: Path, loaded: LoadedModel, question: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        evaluate(read_task(write_questions(tmp_path / "bad", question)), loaded)
    assert "s0.json" in str(raised.value)
