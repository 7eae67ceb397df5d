"""Read a zero-shot task's folder, CLIP_benchmark's or one with a folder a class: class names, prompts, metric."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import xxhash

from metaclip_dagster.evaluation.wordings import (
    DEFAULT_TEMPLATES,
    LANGUAGES,
    Wording,
    read_lines,
    read_own_language,
    read_templates,
    read_wordings,
    split_names,
)

Kind = Literal["classification", "retrieval", "multiple choice"]

CLASSIFICATION_METRICS = ("acc1", "acc5", "mean_per_class", "acc1_acc5", "f1_macro", "roc_auc")
RETRIEVAL_METRICS = ("mean_recall@1",)
CHOICE_METRICS = ("acc1",)
PARTS = ("head", "tail")
CAPTIONS = "captions.jsonl"
"""XM3600's captions in all languages, beside its folder images/."""

_KINDS: tuple[Kind, ...] = ("classification", "retrieval", "multiple choice")

# What CLIP and its followers report for the tasks that are not scored by top-1 (Radford et al. 2021, appendix A), under
# the names that their folders bear.
_METRIC_OF = {
    **dict.fromkeys(["fgvcaircraft", "aircraft", "caltech101"], "mean_per_class"),
    **dict.fromkeys(["pets", "oxfordpets", "oxfordiiitpet", "oxfordiiitpets"], "mean_per_class"),
    **dict.fromkeys(["flowers", "flowers102", "oxfordflowers", "oxfordflowers102"], "mean_per_class"),
    **dict.fromkeys(["kinetics700", "k700"], "acc1_acc5"),
    "hatefulmemes": "roc_auc",
    # DataComp's own (Gadre et al. 2023, appendix N).
    **dict.fromkeys(["iwildcam", "wildsiwildcam"], "f1_macro"),
}
# DataComp scores these by the accuracy on their worst group, or by a game: top-1 beside it would compare with nothing.
_OTHERWISE_SCORED = dict.fromkeys(["dollarstreet", "fmow", "wildsfmow", "geode"], "the worst of its groups")
_OTHERWISE_SCORED |= dict.fromkeys(["winogavil", "miscwinogavil"], "the Jaccard index of its associations")


@dataclass(frozen=True)
class Task:
    """One zero-shot task; its images are read when it is scored."""

    folder: Path
    kind: Kind
    language: str
    """The task's own; where its captions or questions are in others alone, the first of these stands for it."""
    wordings: tuple[Wording, ...]
    """Of a classification: the own one, then those of further languages."""
    parts: tuple[str | None, ...]
    """For each class head, tail or none."""
    metric: str
    """The task's own metric: what `main` repeats."""
    tars: tuple[Path, ...]
    """CLIP_benchmark's tars; where there are none, each class has a folder of its name."""
    version: str
    """Changes with the folder's files, its README.md apart."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """The first name of each class in the own language; none for retrieval and multiple choice.

        A name may occur twice: its lines are two classes, and the first wins.
        """
        return tuple(names[0] for wording in self.wordings[:1] for names in wording.names)

    @property
    def templates(self) -> tuple[str, ...]:
        """The own language's prompts."""
        return self.wordings[0].templates if self.wordings else ()


def read_task(folder: str | Path) -> Task:
    """Read what a task folder asks, not its images.

    CLIP_benchmark's layout: classnames.txt, zeroshot_classification_templates.txt, test/nshards.txt and test/0.tar ...
    of images with .cls; with `retrieval` in dataset_type.txt, images with .txt, a caption a line; with `multiple
    choice`, images with .json. Or a folder a class, whose name is the class's. Or XM3600's captions.jsonl and images/.
    Optional: language.txt, languages/ with further ones, metric.txt, and groups.tsv with the columns class and part.
    Raises ValueError that names the file, its line and the way out.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder; name the folder of a zero-shot task")
    kind = _read_kind(folder)
    tars = list_tars(folder)
    if kind != "classification" and not tars and not (folder / CAPTIONS).exists():
        raise ValueError(f"{folder}: a task of {kind} needs test/nshards.txt and test/0.tar ... of images with texts")
    language, wordings = read_own_language(folder), tuple[Wording, ...]()
    if kind == "classification":
        templates = read_templates(folder / "zeroshot_classification_templates.txt", DEFAULT_TEMPLATES)
        own_wording = Wording(language, _read_names(folder, tars), templates)
        wordings = read_wordings(folder, own_wording, dataset=re.sub(r"^wds[_-]|[_-]test$", "", folder.name.lower()))
    names = [of_class[0] for wording in wordings[:1] for of_class in wording.names]
    return Task(
        folder=folder,
        kind=kind,
        language=language,
        wordings=wordings,
        parts=_read_parts(folder / "groups.tsv", names),
        metric=_read_metric(folder, kind, len(names)),
        tars=tars,
        version=task_version(folder),
    )


def task_version(folder: str | Path) -> str:
    """Equal as long as no file but README.md was added, removed, resized or written anew; nothing is read."""
    folder = Path(folder).resolve()
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / "README.md")
    stats = [(path.relative_to(folder).as_posix(), path.stat()) for path in files]
    listing = "\n".join(f"{name}\t{stat.st_size}\t{stat.st_mtime_ns}" for name, stat in stats)
    return xxhash.xxh3_128_hexdigest(listing.encode())


def list_class_folders(folder: Path) -> list[Path]:
    """Folders inside, by name, but hidden ones and that of languages, which holds no file but JSON."""
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [path for path in folders if path.name != LANGUAGES or any(map(_is_of_class, path.iterdir()))]


def _is_of_class(path: Path) -> bool:
    return path.is_file() and path.suffix != ".json" and not path.name.startswith(".")


def _read_kind(folder: Path) -> Kind:
    path = folder / "dataset_type.txt"
    if not path.exists():
        return "retrieval" if (folder / CAPTIONS).exists() else "classification"
    text = " ".join(read_lines(path)).lower()
    if kind := next((kind for kind in _KINDS if kind == text), None):
        return kind
    raise ValueError(f"{path}: {text!r} is not scored; only {', '.join(_KINDS[:-1])} and {_KINDS[-1]} are")


def list_tars(folder: Path) -> tuple[Path, ...]:
    """The tars that test/nshards.txt promises; none where there is no such file."""
    path = folder / "test" / "nshards.txt"
    if not path.exists():
        if (folder / "classnames.txt").exists() or any(folder.glob("test/*.tar")):
            raise ValueError(f"{folder}: test/nshards.txt is missing; write into it how many tars test/ holds")
        return ()
    num_tars = "".join(read_lines(path))
    if not re.fullmatch("[1-9][0-9]{0,8}", num_tars):
        raise ValueError(f"{path}: {num_tars[:80]!r} is not a number of tars; write how many test/ holds, at least 1")
    tars = []
    for number in range(int(num_tars)):
        tars.append(folder / "test" / f"{number}.tar")
        if not tars[-1].is_file():
            raise ValueError(
                f"{path} promises {num_tars} tars, but {tars[-1]} is missing; fetch it or correct the number"
            )
    return tuple(tars)


def _read_names(folder: Path, tars: Sequence[Path]) -> tuple[tuple[str, ...], ...]:
    if not tars:
        names = [path.name for path in list_class_folders(folder)]
        if not names:
            raise ValueError(f"{folder}: neither test/nshards.txt with tars nor a folder for each class is here")
        return tuple((name,) for name in names)
    path = folder / "classnames.txt"
    names = read_lines(path)
    if not names:
        raise ValueError(f"{path}: names no class; write one name a line, in the order of the numbers in .cls")
    return tuple(split_names(name) or ("",) for name in names)  # an empty one is a name: CLIP_benchmark exports them


def _read_parts(path: Path, names: Sequence[str]) -> tuple[str | None, ...]:
    parts: dict[int, str] = {}
    if not path.exists():
        return (None,) * len(names)
    header, *rows = (line.split("\t") for line in read_lines(path) or [""])
    if not {"class", "part"} <= set(header):
        raise ValueError(f"{path}, line 1: wants the columns class and part, with tabs between them; it has {header}")
    for line, row in enumerate(rows, 2):
        where = f"{path}, line {line}"
        if len(row) != len(header):
            raise ValueError(f"{where}: has {len(row)} columns and the header {len(header)}")
        columns = dict(zip(header, row, strict=True))
        number = int(columns["class"]) if re.fullmatch("[0-9]{1,9}", columns["class"]) else -1
        if not 0 <= number < len(names):
            raise ValueError(f"{where}: class {columns['class']!r} is unknown; the task's are 0 to {len(names) - 1}")
        if columns.get("name", names[number]) != names[number]:
            raise ValueError(f"{where}: class {number} is {names[number]!r}, not {columns['name']!r}")
        if columns["part"] not in PARTS or number in parts:
            raise ValueError(f"{where}: each class has one line and is {' or '.join(PARTS)}, not {columns['part']!r}")
        parts[number] = columns["part"]
    return tuple(parts.get(number) for number in range(len(names)))


def _read_metric(folder: Path, kind: str, num_classes: int) -> str:
    path = folder / "metric.txt"
    metrics = {"retrieval": RETRIEVAL_METRICS, "multiple choice": CHOICE_METRICS}.get(kind, CLASSIFICATION_METRICS)
    if path.exists():
        metric = " ".join(read_lines(path))
    elif kind != "classification":
        metric = metrics[0]
    elif (name := _plain_name(folder.name)) in _OTHERWISE_SCORED:
        raise ValueError(
            f"{folder}: DataComp scores this task by {_OTHERWISE_SCORED[name]}, which is not computed here; "
            f"write {' or '.join(metrics)} into {path} to score it so"
        )
    else:
        metric = _METRIC_OF.get(name, "acc1")
    if metric not in metrics:
        raise ValueError(f"{path}: {metric!r} is no metric of {kind}; one of {', '.join(metrics)}")
    if metric == "roc_auc" and num_classes != 2:
        raise ValueError(f"{folder}: roc_auc is for two classes, not {num_classes}; name another metric in metric.txt")
    return metric


def _plain_name(name: str) -> str:
    """A task's name without what CLIP_benchmark and DataComp put around it."""
    plain = re.sub(r"^wds[_-]|[_-]test$", "", name.lower())
    plain = re.sub(r"^(vtab|tfds)[_/-]", "", plain)
    return re.sub(r"[^a-z0-9]", "", plain)
