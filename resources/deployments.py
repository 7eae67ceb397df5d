"""Say where the project runs: the offline sample or Common Crawl, as changed by METACLIP_ variables."""

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from resources.files.local import write_text
from resources.variables import (
    LID_176,
    read_filters,
    read_image_buckets,
    read_image_form,
    read_language_id,
    read_languages,
    read_lists,
    read_mixtures,
    read_models,
    read_open_lineage,
    read_options,
    read_pictures,
    read_root,
    read_thresholds,
    refuse_nested,
)

REPOSITORY = Path(__file__).parent.parent
SAMPLE = REPOSITORY / "data" / "sample"
COMMON_CRAWL = "https://data.commoncrawl.org"
COMMON_CRAWLS = (COMMON_CRAWL, "s3://commoncrawl")
COLLINFO = "https://index.commoncrawl.org/collinfo.json"
"""The list of snapshots, which does not lie beside these."""


_REPRODUCED = {
    "METACLIP_CRAWL", "METACLIP_CRAWL_OPTIONS", "METACLIP_FILTERS", "METACLIP_IMAGES", "METACLIP_LAKE",
    "METACLIP_LAKE_OPTIONS",
    "METACLIP_LANGUAGES", "METACLIP_LANGUAGE_ID", "METACLIP_LISTS", "METACLIP_MODELS", "METACLIP_PICTURES",
    "METACLIP_PORT", "METACLIP_RAY", "METACLIP_REPORTS_URL", "METACLIP_TAKEDOWNS", "METACLIP_THRESHOLDS",
    "METACLIP_WIKIPEDIA",
}  # fmt: skip
"""What beside the deployment's name and folder a command needs to do the same again."""


@dataclass(frozen=True)
class Deployment:
    """All that differs between a laptop and a cluster."""

    name: str
    home: Path
    """Lake, images, reports and DAGSTER_HOME; lake and images may be elsewhere."""
    crawl: str
    """A folder, an fsspec URL or an address of the web, laid out like Common Crawl."""
    snapshot_pattern: str
    thresholds: tuple[str, ...]
    """The rungs of t, ascending; inf is the unbalanced control. METACLIP_THRESHOLDS=200,1700,inf sets them."""
    wikipedia: str
    """A folder or fsspec URL with dumps of Wikipedias, and hourly pageview files."""
    nltk_data: str
    parts_of_speech: str = "nvar"
    min_count: int = 100
    min_pmi: float = 30.0
    min_views: int = 70
    budget: int = 500_000
    languages: tuple[str, ...] = ("en",)
    """Languages that have entries; METACLIP_LANGUAGES=en,de sets them, `all` is every Wikipedia that there is."""
    own_lists: Mapping[str, str] = field(default_factory=dict)
    """A file of entries for each language that has one, from the folder METACLIP_LISTS; it needs no Wikipedia then."""
    language_id: tuple[str, ...] = (LID_176,)
    """What tells the language of a text, from METACLIP_LANGUAGE_ID: lid.176, a fastText model's file, or two of these
    with a plus between them, which have to agree."""
    titles_in_dump_only: bool = True
    """Whether a title must be an article of the dump; not where the dump is an extract."""
    collinfo: str = ""
    """Where the list of snapshots is, if not beside the rest of the crawl."""
    crawl_options: Mapping[str, Any] = field(default_factory=dict)
    """fsspec's storage options for the crawl, as JSON in METACLIP_CRAWL_OPTIONS."""
    lake_url: str = ""
    """Where the tables lie, if not at home: below METACLIP_LAKE, in a folder of this deployment's name."""
    lake_options: Mapping[str, Any] = field(default_factory=dict)
    """fsspec's storage options for the lake, as JSON in METACLIP_LAKE_OPTIONS."""
    contact: str = ""
    """Sent along with every request to the web, from METACLIP_CONTACT: an address that a host's owner can write to."""
    images_from_web: bool = False
    """Whether images are asked for where their URLs say; the sample's lie in its crawl."""
    num_buckets: int = 1
    group_size: int = 64
    """Shards of MATCHES that one worker scatters or counts at a time."""
    image_buckets: int = 64
    """Buckets of the image store: one writer each at a time, and the shards of images. METACLIP_IMAGE_BUCKETS sets
    them, before the store is begun."""
    images_url: str = ""
    """Where the image store lies, if not at home: below METACLIP_IMAGES, in a folder of this deployment's name."""
    image_form: str = ""
    """What the image store keeps, from METACLIP_IMAGES_STORED: shorter side, format and quality, as `256,jpg,95`; by
    default images stay as they came."""
    models: tuple[str, ...] = ("tiny",)
    """What is trained on each training set: recipes, with -s<seed> for other seeds; METACLIP_MODELS names others."""
    mixtures: Mapping[str, Any] = field(default_factory=dict)
    """Training sets of several sources, each with its own t and weight, from `mixtures.json` at home."""
    vocab_size: int = 16_384
    """Tokens of a tokenizer that is trained from the pool."""
    pairs_to_see: int = 20_480
    """The budget of every training run, whatever its t."""
    device: Literal["cpu", "cuda"] = "cpu"
    loader_workers: int = 1
    tasks: tuple[str, ...] = ()
    """Folders of zero-shot tasks."""
    takedown_list: str = ""
    """The list of takedowns, from METACLIP_TAKEDOWNS; by default `takedowns.csv` at home, if there is one."""
    filters: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What training sets leave out: scorers by name, as in metaclip_dagster.filters, and limits to their scores."""
    named_filters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the training sets `<t>-<name>` leave out, by name, from METACLIP_FILTERS: config of `training_sets`."""
    near_duplicate_distance: int | None = None
    leakage_distance: int | None = None
    """Bits of 64 in which perceptual hashes may differ for images to be near; None does not look."""
    workers: int = 0
    ray: str = ""
    """Address of the Ray cluster that runs the shards, from METACLIP_RAY; empty runs them on this machine."""
    max_failed_fraction: float = 0.0
    refresh_seconds: int = 86_400
    """How often the crawl is asked for new snapshots, once that is switched on."""
    automation_seconds: int = 60
    """How often it is looked what has changed and what is to be made of it, once that is switched on."""
    port: str = "3000"
    reports_url: str = ""
    """Where the reports are served, from METACLIP_REPORTS_URL; by default at the port after that of `metaclip ui`."""
    pictures: Literal["shown", "blurred", "off"] = "shown"
    """How reports show a crawl's pictures; METACLIP_PICTURES=off shows none."""
    failure_webhook: str = ""
    """Who is told of a failed run by a POST, from METACLIP_FAILURE_WEBHOOK: an address that may itself be a secret."""
    failure_command: str = ""
    """What is told of a failed run on its standard input, from METACLIP_FAILURE_COMMAND."""
    open_lineage: str = ""
    """Where OpenLineage events of materializations go, from METACLIP_OPENLINEAGE: a file, or the URL of a service."""

    @property
    def reference_language(self) -> str:
        """The language that t is meant for; others are held to the t that leaves the same share of matches in the tail.

        English where it has entries, as in the paper, else the first.
        """
        return "en" if {"en", "all"} & {*self.languages} else self.languages[0]

    @property
    def lake(self) -> str:
        """Root of all tables."""
        return self.lake_url or str(self.home / "lake")

    @property
    def images(self) -> str:
        """Root of the image store."""
        return self.images_url or str(self.home / "images")

    @property
    def web(self) -> str:
        """Connections to the web, hosts that refused us, and the cache of archives."""
        return str(self.home / "web")

    @property
    def pools(self) -> str:
        """The file that names sets which others made."""
        return str(self.home / "pools.json")

    @property
    def takedowns(self) -> Path:
        """The list of what is to be taken down."""
        return Path(self.takedown_list or self.home / "takedowns.csv")

    @property
    def checkpoints(self) -> Path:
        """Training runs and the models they gave."""
        return self.home / "checkpoints"

    @property
    def reports(self) -> Path:
        """Data cards and reports for people."""
        return self.home / "reports"

    @property
    def published(self) -> Path:
        """Folders that are given away as they stand: a dataset, and models."""
        return self.home / "published"

    @property
    def publisher(self) -> Path:
        """What only people know of what is given away: title, licence, contact, answers."""
        return self.home / "publisher.yaml"

    @property
    def dagster_home(self) -> Path:
        """Runs, events and schedules of this deployment; made if missing, its dagster.yaml always the project's own."""
        home = self.home / "dagster_home"
        home.mkdir(parents=True, exist_ok=True)
        ours, theirs = (folder / "dagster.yaml" for folder in (REPOSITORY / "resources" / "instance", home))
        if not theirs.exists() or theirs.read_bytes() != ours.read_bytes():
            write_text(theirs, ours.read_text(encoding="utf-8"))
        return home


def command_line(*arguments: str, environment: Mapping[str, str] = os.environ) -> str:
    """A command for any shell of this machine that runs a module of Python's in this deployment and its history."""
    where = read_deployment(environment)
    variables = {
        **{name: value for name, value in environment.items() if name in _REPRODUCED},
        "METACLIP_DEPLOYMENT": where.name,
        "METACLIP_DATA": str(where.home.parent),
        "DAGSTER_HOME": str(where.dagster_home),
    }
    assigned = [f"{name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    return f"cd {shlex.quote(str(REPOSITORY))} && " + " ".join(
        [*assigned, shlex.quote(sys.executable), "-m", *map(shlex.quote, arguments)]
    )


def warn_without_home(environment: Mapping[str, str] = os.environ, program: str = sys.argv[0]) -> None:
    """Say where the deployment's runs are if a program of Dagster's loads the code without a DAGSTER_HOME.

    It makes a temporary one, in which a full lake looks like an empty project.
    """
    home = environment.get("DAGSTER_HOME", "")
    names = (Path(program).stem, Path(program).parent.name)
    if (home and ".tmp_dagster_home" not in home) or not any(name.startswith("dagster") for name in names):
        return
    where = read_deployment(environment)
    print(  # noqa: T201
        "DAGSTER_HOME is not set, so that nothing which was run is shown. Runs and registered snapshots of the "
        f"deployment {where.name} are in {where.home / 'dagster_home'}: set DAGSTER_HOME to it, or start "
        "`metaclip ui`.",
        file=sys.stderr,
        flush=True,
    )


@cache
def deployment() -> Deployment:
    """The deployment that METACLIP_DEPLOYMENT names, `sample` by default; METACLIP_DATA moves `data/`."""
    return read_deployment(os.environ)


def read_deployment(environment: Mapping[str, str]) -> Deployment:
    """The deployment that these variables describe; raises ValueError naming the variable that is off."""
    name = environment.get("METACLIP_DEPLOYMENT", "sample")
    home = Path(environment.get("METACLIP_DATA", REPOSITORY / "data")).absolute() / name
    if name == "sample":
        usual = _sample(home)
    elif name == "commoncrawl":
        usual = _common_crawl(home)
    else:
        raise ValueError(f"METACLIP_DEPLOYMENT={name!r}: there are 'sample' (offline) and 'commoncrawl'")
    crawl = environment.get("METACLIP_CRAWL", usual.crawl).rstrip("/")
    port = environment.get("METACLIP_PORT", usual.port)
    reports_port = int(port) + 1 if port.isdecimal() else 0  # who serves there says what is wrong with it
    where = replace(
        usual,
        crawl=crawl,
        collinfo=usual.collinfo if crawl in COMMON_CRAWLS else "",
        crawl_options=read_options(environment, "METACLIP_CRAWL_OPTIONS"),
        lake_url=read_root(environment, "METACLIP_LAKE", name),
        lake_options=read_options(environment, "METACLIP_LAKE_OPTIONS"),
        languages=read_languages(environment) or usual.languages,
        own_lists=usual.own_lists if (lists := read_lists(environment)) is None else lists,
        language_id=read_language_id(environment) or usual.language_id,
        thresholds=read_thresholds(environment) or usual.thresholds,
        models=read_models(environment) or usual.models,
        mixtures=read_mixtures(home / "mixtures.json"),
        named_filters=read_filters(environment),
        wikipedia=environment.get("METACLIP_WIKIPEDIA", usual.wikipedia),
        takedown_list=environment.get("METACLIP_TAKEDOWNS", ""),
        contact=environment.get("METACLIP_CONTACT", ""),
        image_buckets=read_image_buckets(environment) or usual.image_buckets,
        images_url=read_root(environment, "METACLIP_IMAGES", name),
        image_form=read_image_form(environment),
        ray=environment.get("METACLIP_RAY", ""),
        port=port,
        reports_url=environment.get("METACLIP_REPORTS_URL", f"http://127.0.0.1:{reports_port}").rstrip("/"),
        pictures=read_pictures(environment) or usual.pictures,
        failure_webhook=environment.get("METACLIP_FAILURE_WEBHOOK", ""),
        failure_command=environment.get("METACLIP_FAILURE_COMMAND", ""),
        open_lineage=read_open_lineage(environment),
    )
    if where.images_url:
        refuse_nested(where.lake, where.images)
    return where


def _sample(home: Path) -> Deployment:
    """The sample that lies in this checkout: small, and offline."""
    return Deployment(
        name="sample",
        home=home,
        crawl=str(SAMPLE / "crawl"),
        snapshot_pattern=r"SAMPLE-\d{4}-\d{2}",
        thresholds=("20", "100", "inf"),
        wikipedia=str(SAMPLE / "wikipedia"),
        titles_in_dump_only=False,
        nltk_data=str(SAMPLE / "nltk_data"),
        min_count=5,
        min_pmi=7.0,
        min_views=10,
        budget=150_000,
        own_lists=read_lists({"METACLIP_LISTS": str(SAMPLE / "lists")}) or {},
        models=("tiny", "tiny-s1", "tiny-s2"),
        tasks=tuple(str(SAMPLE / "tasks" / task) for task in ("twemoji", "twemoji-unseen")),
    )


def _common_crawl(home: Path) -> Deployment:
    """Common Crawl and images of the web, at the paper's size."""
    return Deployment(
        name="commoncrawl",
        home=home,
        crawl=COMMON_CRAWL,
        collinfo=COLLINFO,
        images_from_web=True,
        pictures="blurred",
        # The three oldest crawls have ids of their own.
        snapshot_pattern=r"CC-MAIN-\d{4}(-\d{2}|-\d{4})?",
        thresholds=("20000", "170000", "inf"),  # Xu et al. 2023, and inf
        wikipedia=str(home / "wikipedia"),
        nltk_data=str(home / "nltk_data"),
        num_buckets=256,
        image_buckets=4096,
        vocab_size=250_000,  # as mT5 and XLM-R
        models=("ViT-B-32-quickgelu", "ViT-B-16-quickgelu", "ViT-L-14-quickgelu", "ViT-H-14-quickgelu"),
        # 12.8 billion (Xu et al. 2023, table 12), up to whole batches of 8 loaders in 32 epochs.
        pairs_to_see=12_801_015_808,
        device="cuda",
        loader_workers=8,
        tasks=tuple(str(path) for path in sorted((home / "tasks").glob("*/")) if path.is_dir()),
        max_failed_fraction=0.01,
    )
