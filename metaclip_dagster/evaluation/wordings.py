"""Read how each language names a task's classes: own folders, CLIP_benchmark's files, Babel-ImageNet's -> Wordings."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metaclip_dagster.words.languages import list_names

DEFAULT_TEMPLATES = ("a photo of a {c}.",)
BARE = ("{c}",)
"""The prompt of a language whose task brings none."""

LANGUAGES = "languages"
"""The folder in a task's with its further languages."""

_TEMPLATES = "zeroshot_classification_templates"
_MAX_TEXT_BYTES = 16 << 20
_CODE = re.compile("[a-z]{2,3}([-_][a-z0-9]+)*|simple")
_OF_CLIP_BENCHMARK = {"jp": "ja", "cn": "zh"}


@dataclass(frozen=True)
class Wording:
    """A task's classes in the words of one language."""

    language: str
    names: tuple[tuple[str, ...], ...]
    """For each class its names, which are scored as one; none where the language has no name for it."""
    templates: tuple[str, ...]
    """Prompts; `{c}` stands for a name and nothing else is special."""


def read_wordings(folder: Path, own_wording: Wording, *, dataset: str) -> tuple[Wording, ...]:
    """The own wording, then that of each further language by its code.

    In `languages/`: a folder a language with classnames.txt and perhaps templates; CLIP_benchmark's
    `<code>_classnames.json`, of which `dataset` is the key; Babel-ImageNet's `babel_imagenet*.json` with a
    `*prompts.json`. Where several have a language, the first of these counts. Raises ValueError, naming the file.
    """
    root, number = folder / LANGUAGES, len(own_wording.names)
    wordings: dict[str, Wording] = {own_wording.language: own_wording}
    readers = (_read_folders(root, number), _read_clip_benchmark(root, number, dataset), _read_babel(root, number))
    for of_layout in readers:
        for wording in of_layout:
            wordings.setdefault(wording.language, wording)
    further = (language for language in sorted(wordings) if language != own_wording.language)
    return own_wording, *(wordings[language] for language in further)


def read_own_language(folder: Path) -> str:
    """The language of the task's own words: what language.txt says, else English."""
    path = folder / "language.txt"
    return read_code(" ".join(read_lines(path)), path) if path.exists() else "en"


def list_language_folders(folder: Path) -> dict[str, Path]:
    """The folder of each further language. Raises ValueError for a name that is no code, or two of one language."""
    root, own_language, folders = folder / LANGUAGES, read_own_language(folder), dict[str, Path]()
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if path.is_dir() and not path.name.startswith("."):
            language = read_code(path.name, path)
            if language == own_language or language in folders:
                other = folders[language].name if language in folders else "the task itself"
                raise ValueError(f"{path}: is of {language}, as {other} is; keep one of them")
            folders[language] = path
    return folders


def read_code(code: str, where: Path | str) -> str:
    """The language that a code names, spelled as a list of entries is. Raises ValueError for what is no code.

    >>> [read_code(code, "x") for code in ("DE", "fil", "jp", "zh_yue")]
    ['de', 'tl', 'ja', 'yue']
    """
    lowered = _OF_CLIP_BENCHMARK.get(code.lower(), code.lower())
    if not _CODE.fullmatch(lowered):
        raise ValueError(f"{where}: {code[:80]!r} is no language's code; write one as in de, zh-yue, be_x_old")
    return list_names(lowered)[0]


def split_names(line: str) -> tuple[str, ...]:
    r"""The names of a class in one line, with tabs between them, each once.

    >>> split_names("happy\tsmiling\thappy"), split_names("")
    (('happy', 'smiling'), ())
    """
    return tuple(dict.fromkeys(name for part in line.split("\t") if (name := part.strip())))


def read_templates(path: Path, default: tuple[str, ...]) -> tuple[str, ...]:
    """A prompt a line, or the default where the file is missing. Raises ValueError for one without `{c}`."""
    if not path.exists():
        return default
    templates = read_lines(path)
    for line, template in enumerate(templates or [""], 1):
        if "{c}" not in template:
            raise ValueError(f"{path}, line {line}: has no {{c}}, which stands for the name: {template[:80]!r}")
    return tuple(templates)


def read_lines(path: Path) -> list[str]:
    """The lines of a small text file, without blanks around them and without empty ones at its end."""
    lines = [line.strip() for line in _read_text(path).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def read_json(path: Path) -> Any:
    """What a JSON file holds."""
    try:
        return json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: cannot be read as JSON ({error})") from error


def _read_folders(root: Path, number: int) -> Iterator[Wording]:
    for language, folder in list_language_folders(root.parent).items():
        path = folder / "classnames.txt"
        lines = read_lines(path)
        if not len(lines) <= number <= len(_read_text(path).splitlines()):
            raise ValueError(
                f"{path}: has {len(lines)} lines and the task {number} classes; write a line for each class, in their "
                "order, and an empty one where the language has no name"
            )
        names = tuple(map(split_names, [*lines, *[""] * (number - len(lines))]))
        yield _check(Wording(language, names, read_templates(folder / f"{_TEMPLATES}.txt", BARE)), path)


def _read_clip_benchmark(root: Path, number: int, dataset: str) -> Iterator[Wording]:
    """`<code>_classnames.json` has every dataset's names, `<code>_..._templates.json` prompts with `{c}` or `{}`."""
    for path in sorted(root.glob("*_classnames.json")):
        names = _look_up(path, dataset)
        if len(names) != number:
            raise ValueError(f"{path}: {dataset!r} has {len(names)} names and the task {number} classes")
        language, templates = path.name.removesuffix("_classnames.json"), tuple[str, ...](BARE)
        if (prompts := path.with_name(f"{language}_{_TEMPLATES}.json")).exists():
            templates = tuple(template.replace("{}", "{c}") for template in _look_up(prompts, dataset))
            if not all("{c}" in template for template in templates):
                raise ValueError(f"{prompts}: a template of {dataset!r} has no {{c}}, which stands for the name")
        yield _check(Wording(read_code(language, path), tuple(map(split_names, names)), templates or BARE), path)


def _read_babel(root: Path, number: int) -> Iterator[Wording]:
    """`{"DE": [[class, ...], [name, ...]]}` and `{"DE": ["... {} ...", ...]}` (Geigle et al. 2023, Babel-ImageNet).

    Of codes that share a list of entries, as ZH and ZH_CLASSICAL, the shortest counts.
    """
    prompt_files = sorted(root.glob("*prompts.json"))
    for path in sorted(root.glob("babel_imagenet*.json")):
        if len(prompt_files) > 1:
            raise ValueError(
                f"{root}: has {len(prompt_files)} files of prompts; keep that which Babel-ImageNet goes with"
            )
        prompts = read_json(prompt_files[0]) if prompt_files else {}
        babel, wordings = read_json(path), dict[str, Wording]()
        if not isinstance(babel, dict) or not isinstance(prompts, dict):
            raise ValueError(f"{path}: is no Babel-ImageNet, with classes and names by language; fetch it again")
        for code in sorted(babel, key=lambda code: (len(code), code)):
            try:
                classes, class_names = babel[code]
                of_class = {int(at): split_names(name) for at, name in zip(classes, class_names, strict=True)}
                templates = tuple(prompt.replace("{}", "{c}") for prompt in prompts.get(code, ())) or BARE
            except (AttributeError, TypeError, ValueError) as error:
                raise ValueError(f"{path}: {code!r} is not as many classes as names, or has odd prompts") from error
            if unknown := sorted(at for at in of_class if not 0 <= at < number):
                raise ValueError(f"{path}: {code!r} names class {unknown[0]}, and the task's are 0 to {number - 1}")
            if not all("{c}" in template for template in templates):
                raise ValueError(f"{prompt_files[0]}: a prompt of {code!r} has no {{}}, which stands for the name")
            names = tuple(of_class.get(at, ()) for at in range(number))
            wordings.setdefault(read_code(code, path), _check(Wording(read_code(code, path), names, templates), path))
        yield from wordings.values()


def _look_up(path: Path, dataset: str) -> list[str]:
    by_dataset = read_json(path)
    # Exports write `vtab-pets` for `vtab/pets`.
    keys = (dataset, dataset.replace("-", "/", 1)) if isinstance(by_dataset, dict) else ()
    texts = next((by_dataset[key] for key in keys if key in by_dataset), None)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{path}: has no list of texts for {dataset!r}, which is this task's folder by its plain name")
    return texts


def _check(wording: Wording, path: Path) -> Wording:
    if not any(wording.names):
        raise ValueError(f"{path}: {wording.language} has a name for no class; fill it in, or take the language away")
    return wording


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"{path}: is missing, or is no file")
    if path.stat().st_size > _MAX_TEXT_BYTES:
        raise ValueError(f"{path}: is above {_MAX_TEXT_BYTES >> 20} MiB; is it the list that its name promises?")
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
