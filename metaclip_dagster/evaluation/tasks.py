"""Read a zero-shot task's folder, CLIP_benchmark's or one with a folder a class: class names, prompts, metric."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import xxhash

DEFAULT_TEMPLATES = ("a photo of a {c}.",)
CLASSIFICATION_METRICS = ("acc1", "acc5", "mean_per_class", "acc1_acc5", "f1_macro", "roc_auc")
RETRIEVAL_METRICS = ("mean_recall@1",)
PARTS = ("head", "tail")

_MAX_TEXT_BYTES = 16 << 20

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
    kind: Literal["classification", "retrieval"]
    class_names: tuple[str, ...]
    """None for retrieval. A name may occur twice: its lines are two classes, and the first wins."""
    templates: tuple[str, ...]
    """Prompts; `{c}` stands for the name and nothing else is special."""
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


def read_task(folder: str | Path) -> Task:
    """Read what a task folder asks, not its images.

    CLIP_benchmark's layout: classnames.txt, zeroshot_classification_templates.txt, test/nshards.txt and test/0.tar ...
    of images with .cls; with `retrieval` in dataset_type.txt, images with .txt, a caption a line. Or a folder a class,
    whose name is the class's. Optional in both: metric.txt, and groups.tsv with the columns class and part. Raises
    ValueError that names the file, its line and the way out.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder; name the folder of a zero-shot task")
    kind = _read_kind(folder)
    tars = _list_tars(folder)
    if kind == "retrieval" and not tars:
        raise ValueError(f"{folder}: a retrieval task needs test/nshards.txt and test/0.tar ... of images with .txt")
    names = _read_names(folder, tars) if kind == "classification" else ()
    return Task(
        folder=folder,
        kind=kind,
        class_names=names,
        templates=_read_templates(folder) if kind == "classification" else (),
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
    """Folders inside, by name, but hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _read_kind(folder: Path) -> Literal["classification", "retrieval"]:
    path = folder / "dataset_type.txt"
    kind = " ".join(_read_lines(path)).lower() if path.exists() else "classification"
    if kind == "classification":
        return "classification"
    if kind == "retrieval":
        return "retrieval"
    raise ValueError(f"{path}: {kind!r} is not scored; only classification and retrieval are")


def _list_tars(folder: Path) -> tuple[Path, ...]:
    path = folder / "test" / "nshards.txt"
    if not path.exists():
        if (folder / "classnames.txt").exists() or any(folder.glob("test/*.tar")):
            raise ValueError(f"{folder}: test/nshards.txt is missing; write into it how many tars test/ holds")
        return ()
    num_tars = "".join(_read_lines(path))
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


def _read_names(folder: Path, tars: Sequence[Path]) -> tuple[str, ...]:
    if not tars:
        names = [path.name for path in list_class_folders(folder)]
        if not names:
            raise ValueError(f"{folder}: neither test/nshards.txt with tars nor a folder for each class is here")
        return tuple(names)
    path = folder / "classnames.txt"
    names = _read_lines(path)
    if not names:
        raise ValueError(f"{path}: names no class; write one name a line, in the order of the numbers in .cls")
    return tuple(names)  # an empty one, too, is a name: CLIP_benchmark exports them


def _read_templates(folder: Path) -> tuple[str, ...]:
    path = folder / "zeroshot_classification_templates.txt"
    if not path.exists():
        return DEFAULT_TEMPLATES
    templates = _read_lines(path)
    for line, template in enumerate(templates or [""], 1):
        if "{c}" not in template:
            raise ValueError(f"{path}, line {line}: has no {{c}}, which stands for the name: {template[:80]!r}")
    return tuple(templates)


def _read_parts(path: Path, names: Sequence[str]) -> tuple[str | None, ...]:
    parts: dict[int, str] = {}
    if not path.exists():
        return (None,) * len(names)
    header, *rows = (line.split("\t") for line in _read_lines(path) or [""])
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
    metrics = CLASSIFICATION_METRICS if kind == "classification" else RETRIEVAL_METRICS
    if path.exists():
        metric = " ".join(_read_lines(path))
    elif kind == "retrieval":
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


def _read_lines(path: Path) -> list[str]:
    if not path.is_file():
        raise ValueError(f"{path}: is missing, or is no file")
    if path.stat().st_size > _MAX_TEXT_BYTES:
        raise ValueError(f"{path}: is above {_MAX_TEXT_BYTES >> 20} MiB; is it the list that its name promises?")
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
    while lines and not lines[-1]:
        lines.pop()
    return lines
