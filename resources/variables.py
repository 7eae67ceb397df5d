"""Read METACLIP_ variables that are lists, JSON or addresses, and refuse a wrong one by its name."""

import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from resources.files.object_store import refuse_credentials

_LANGUAGE = r"[a-z]{2,3}([-_][A-Za-z0-9]+)*|other"
LID_176 = "lid.176"
"""The language identification that is installed with the project."""


def read_options(environment: Mapping[str, str], name: str) -> Mapping[str, Any]:
    """The storage options that a variable gives as JSON, none where it is not set; credentials are refused."""
    try:
        options = json.loads(environment.get(name, "{}"))
    except ValueError:
        options = None
    if not isinstance(options, dict):  # not shown: it may hold what is nobody's business
        raise ValueError(f"{name}: give fsspec's storage options as a JSON object")
    _refuse_credentials(name, "", options)
    return options


def read_root(environment: Mapping[str, str], name: str, deployment_name: str) -> str:
    """The deployment's folder below what a variable names, an address or a path; empty where that is not set."""
    root = environment.get(name, "").rstrip("/")
    if not root:
        return ""
    _refuse_credentials(name, root, {})
    return f"{root if '://' in root else Path(root).absolute()}/{deployment_name}"


def refuse_nested(lake: str, images: str) -> None:
    """Raise ValueError where the lake and the image store are one place, or one lies within the other."""
    if f"{lake}/".startswith(f"{images}/") or f"{images}/".startswith(f"{lake}/"):
        raise ValueError(
            f"METACLIP_LAKE and METACLIP_IMAGES: {images} and {lake} lie within each other, and who tidies one would "
            "meet the other's files: give the images a prefix or a bucket of their own"
        )


def read_thresholds(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The rungs in METACLIP_THRESHOLDS, none where it is not set; each is a partition key, and has one spelling."""
    listed = environment.get("METACLIP_THRESHOLDS", "")
    rungs = tuple(map(str.strip, listed.split(","))) if listed else ()
    finite = rungs[:-1]
    if rungs and (rungs[-1] != "inf" or not all(re.fullmatch(r"[1-9]\d*", t, re.ASCII) for t in finite)):
        raise ValueError(
            f"METACLIP_THRESHOLDS={listed!r}: name whole numbers, without commas or blanks in them, and inf, as in "
            "200,1700,inf"
        )
    if any(int(low) >= int(high) for low, high in itertools.pairwise(finite)):
        raise ValueError(f"METACLIP_THRESHOLDS={listed!r}: let the rungs ascend, each named once")
    return rungs


def read_models(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The models in METACLIP_MODELS, none where it is not set; whether there are such recipes, others know."""
    listed = environment.get("METACLIP_MODELS", "")
    models = tuple(map(str.strip, listed.split(","))) if listed else ()
    if len(set(models)) < len(models) or not all(re.fullmatch(r"[\w.-]+", model, re.ASCII) for model in models):
        raise ValueError(
            f"METACLIP_MODELS={listed!r}: name each model once, as in tiny,tiny-worldwide,tiny-worldwide-s1"
        )
    return models


def read_filters(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """By name what training sets of that name leave out, from the JSON file METACLIP_FILTERS; none where it is not set.

    Whether there are such filters, others know.
    """
    if not (path := environment.get("METACLIP_FILTERS", "")):
        return {}
    try:
        named = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"METACLIP_FILTERS={path!r}: {error}; name a file of JSON") from None
    if not isinstance(named, dict) or not all(isinstance(config, dict) and config for config in named.values()):
        raise ValueError(
            f"METACLIP_FILTERS={path!r}: give each name what its sets leave out, as in "
            '{"clip28": {"filters": {"column:similarity": {"at_least": 0.28}}}}'
        )
    if odd := [name for name in named if not re.fullmatch(r"[a-z][a-z0-9_.]*", name, re.ASCII)]:
        raise ValueError(
            f"METACLIP_FILTERS={path!r}: {odd[0]!r} is no name; begin with a lower-case letter, and use these, digits, "
            "points and underscores"
        )
    return named


def read_languages(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The codes of languages in METACLIP_LANGUAGES, or `all`; none where it is not set."""
    if (listed := environment.get("METACLIP_LANGUAGES")) is None:
        return ()
    languages = tuple(map(str.strip, listed.split(",")))
    if len(set(languages)) < len(languages) or not all(re.fullmatch(_LANGUAGE, language) for language in languages):
        raise ValueError(
            f"METACLIP_LANGUAGES={listed!r}: name each language once, by its code, as in en,de,zh-yue,other, or `all`"
        )
    if "all" in languages and len(languages) > 1:
        raise ValueError(f"METACLIP_LANGUAGES={listed!r}: `all` stands alone")
    return languages


def read_lists(environment: Mapping[str, str]) -> dict[str, str] | None:
    """By language, the file of each list in the folder METACLIP_LISTS, called by the language's code: `de.txt.gz`.

    None where it is not set. Raises ValueError for a folder without a list, a file called otherwise, or two of a
    language.
    """
    if not (folder := environment.get("METACLIP_LISTS", "")):
        return None
    lists: dict[str, str] = {}
    for path in sorted(Path(folder).absolute().glob("[!.]*")):
        language = path.name.partition(".")[0]
        if not re.fullmatch(_LANGUAGE, language) or language in (*lists, "all"):
            raise ValueError(
                f"METACLIP_LISTS={folder!r}: {path.name} is no list of a language, or the second of one; call each "
                "file by the language's code, as de.txt.gz, and put nothing else there"
            )
        lists[language] = str(path)
    if not lists:
        raise ValueError(f"METACLIP_LISTS={folder!r}: there is no list; name a folder of files such as de.txt.gz")
    return lists


def read_language_id(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The models in METACLIP_LANGUAGE_ID, whole paths or lid.176, none where it is not set."""
    if (listed := environment.get("METACLIP_LANGUAGE_ID")) is None:
        return ()
    models = tuple(map(str.strip, listed.split("+")))
    if len(models) > 2 or not all(models) or len(set(models)) < len(models):
        raise ValueError(
            f"METACLIP_LANGUAGE_ID={listed!r}: name lid.176, a fastText model's file, or two of these that have to "
            "agree, as in lid.176+/models/glotlid.bin"
        )
    return tuple(model if model == LID_176 else str(Path(model).absolute()) for model in models)


def read_pictures(environment: Mapping[str, str]) -> Literal["shown", "blurred", "off"] | None:
    """How METACLIP_PICTURES has a crawl's pictures shown in reports, None where it is not set."""
    match environment.get("METACLIP_PICTURES"):
        case None:
            return None
        case "shown" | "blurred" | "off" as pictures:
            return pictures
        case other:
            raise ValueError(f"METACLIP_PICTURES={other!r}: there are shown, blurred and off")


def read_image_form(environment: Mapping[str, str]) -> str:
    """What the image store keeps, from METACLIP_IMAGES_STORED: `256`, `256,webp` and `256,webp,80`, with all three."""
    text = environment.get("METACLIP_IMAGES_STORED", "")
    form = re.fullmatch(r"([1-9]\d{0,4})(?:,(jpg|webp)(?:,([1-9]\d?|100))?)?", text, re.ASCII)
    if text and not form:
        raise ValueError(
            f"METACLIP_IMAGES_STORED={text!r}: give pixels of the shorter side, with jpg or webp and a quality from 1 "
            "to 100 if you like, as in 256 or 256,webp,80; leave it out to keep images as they came"
        )
    return f"{form[1]},{form[2] or 'jpg'},{form[3] or 95}" if form else ""


def read_image_buckets(environment: Mapping[str, str]) -> int | None:
    """The number in METACLIP_IMAGE_BUCKETS, None where it is not set; folders of buckets have five digits."""
    if (text := environment.get("METACLIP_IMAGE_BUCKETS")) is None:
        return None
    if not re.fullmatch(r"[1-9]\d{0,4}", text, re.ASCII):
        raise ValueError(
            f"METACLIP_IMAGE_BUCKETS={text!r}: give a whole number from 1 to 99999, some 10,000 images for each bucket"
        )
    return int(text)


def read_mixtures(path: Path) -> dict[str, Any]:
    """What mixtures.json says of each mixture, none where there is no such file; what it means, others know."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        mixtures = json.loads(text, object_pairs_hook=_refuse_repeats)
    except ValueError as error:
        why = f"not JSON ({error})" if isinstance(error, json.JSONDecodeError) else error
        raise ValueError(f"{path}: {why}") from None
    if not isinstance(mixtures, dict):
        raise ValueError(f'{path}: name each mixture, as in {{"ours-thrice": {{...}}}}')
    return mixtures


def read_open_lineage(environment: Mapping[str, str]) -> str:
    """The file, whole path, or web address in METACLIP_OPENLINEAGE; empty where it is not set."""
    target = environment.get("METACLIP_OPENLINEAGE", "")
    if not target or target.startswith(("http://", "https://")):
        return target
    if "://" in target:  # not shown: it may hold what is nobody's business
        raise ValueError("METACLIP_OPENLINEAGE: name a file of this machine, or a service by http:// or https://")
    return str(Path(target).absolute())


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose keys are each there once: of two, a reader would follow either."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError(f"{next(name for name in fields if [key for key, _ in pairs].count(name) > 1)} is named twice")
    return fields


def _refuse_credentials(name: str, url: str, options: Mapping[str, Any]) -> None:
    try:
        refuse_credentials(url, options)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
