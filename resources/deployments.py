"""Where this runs: the offline sample, or Common Crawl. The only code that reads the environment."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

REPOSITORY = Path(__file__).parent.parent
SAMPLE = REPOSITORY / "data" / "sample"


@dataclass(frozen=True)
class Deployment:
    """All that differs between a laptop and a cluster."""

    name: str
    home: Path
    """Lake, images, reports and DAGSTER_HOME."""
    crawl: str
    """A folder or fsspec URL laid out like Common Crawl."""
    snapshot_pattern: str
    thresholds: tuple[str, ...]
    """The rungs of t, ascending; inf is the unbalanced control."""
    wikipedia_dump: str
    pageviews: tuple[str, ...]
    nltk_data: str
    parts_of_speech: str = "nvar"
    min_count: int = 100
    min_pmi: float = 30.0
    min_views: int = 70
    budget: int = 500_000
    reference_language: str = "en"
    """The language that t is meant for; others are held to the t that leaves the same share of matches in the tail."""
    num_buckets: int = 1
    group_size: int = 64
    """Shards of MATCHES that one worker scatters or counts at a time."""
    image_buckets: int = 64
    """Buckets of the image store: one writer each at a time, and the shards of a training set."""
    models: tuple[str, ...] = ("tiny",)
    """What is trained on each training set: recipes, with -s<seed> for other seeds."""
    pairs_to_see: int = 20_480
    """The budget of every training run, whatever its t."""
    device: Literal["cpu", "cuda"] = "cpu"
    loader_workers: int = 1
    tasks: tuple[str, ...] = ()
    """Folders of zero-shot tasks."""
    workers: int = 0
    max_failed_fraction: float = 0.0
    refresh_seconds: int = 86_400
    """How often the crawl is asked for new snapshots, once that is switched on."""
    automation_seconds: int = 60
    """How often it is looked what has changed and what is to be made of it, once that is switched on."""
    port: str = "3000"

    @property
    def lake(self) -> str:
        """Root of all tables."""
        return str(self.home / "lake")

    @property
    def images(self) -> Path:
        """Root of the image store."""
        return self.home / "images"

    @property
    def checkpoints(self) -> Path:
        """Training runs and the models they gave."""
        return self.home / "checkpoints"

    @property
    def reports(self) -> Path:
        """Data cards and reports for people."""
        return self.home / "reports"

    @property
    def dagster_home(self) -> Path:
        """Runs, events and schedules of this deployment; made if missing, its dagster.yaml always the project's own."""
        home = self.home / "dagster_home"
        home.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / "resources" / "dagster.yaml", home / "dagster.yaml")
        return home


@cache
def deployment() -> Deployment:
    """The deployment that METACLIP_DEPLOYMENT names, `sample` by default; METACLIP_DATA moves `data/`."""
    return read_deployment(os.environ)


def read_deployment(environment: Mapping[str, str]) -> Deployment:
    """The deployment that these variables describe; raises ValueError naming the variable that is off."""
    name = environment.get("METACLIP_DEPLOYMENT", "sample")
    port = environment.get("METACLIP_PORT", "3000")
    home = Path(environment.get("METACLIP_DATA", REPOSITORY / "data")).absolute() / name
    if name == "sample":
        return Deployment(
            name=name,
            home=home,
            port=port,
            crawl=environment.get("METACLIP_CRAWL", str(SAMPLE / "crawl")),
            snapshot_pattern=r"SAMPLE-\d{4}-\d{2}",
            thresholds=("20", "100", "inf"),
            wikipedia_dump=str(SAMPLE / "wikipedia" / "enwiki-sample-pages-articles.xml.bz2"),
            pageviews=tuple(str(path) for path in sorted((SAMPLE / "wikipedia").glob("pageviews-*.gz"))),
            nltk_data=str(SAMPLE / "nltk_data"),
            min_count=5,
            min_pmi=7.0,
            min_views=10,
            budget=150_000,
            models=("tiny", "tiny-s1", "tiny-s2"),
            tasks=tuple(str(SAMPLE / "tasks" / name) for name in ("twemoji", "twemoji-unseen")),
        )
    if name == "commoncrawl":
        return Deployment(
            name=name,
            home=home,
            port=port,
            crawl=environment.get("METACLIP_CRAWL", str(home / "crawl")),
            # The three oldest crawls have ids of their own.
            snapshot_pattern=r"CC-MAIN-\d{4}(-\d{2}|-\d{4})?",
            thresholds=("20000", "170000", "inf"),
            wikipedia_dump=str(home / "wikipedia" / "enwiki-latest-pages-articles.xml.bz2"),
            pageviews=tuple(str(path) for path in sorted((home / "wikipedia").glob("pageviews-*.gz"))),
            nltk_data=str(home / "nltk_data"),
            num_buckets=256,
            image_buckets=4096,
            models=("ViT-B-32-quickgelu", "ViT-B-16-quickgelu", "ViT-L-14-quickgelu", "ViT-H-14-quickgelu"),
            # 12.8 billion (Xu et al. 2023, table 12), up to whole batches of 8 loaders in 32 epochs.
            pairs_to_see=12_801_015_808,
            device="cuda",
            loader_workers=8,
            tasks=tuple(str(path) for path in sorted((home / "tasks").glob("*/")) if path.is_dir()),
            max_failed_fraction=0.01,
        )
    raise ValueError(f"METACLIP_DEPLOYMENT={name!r}: there are 'sample' (offline) and 'commoncrawl'")
