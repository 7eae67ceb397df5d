"""Say what a lake knows of a subset that the EU's summary of training content asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metaclip_dagster.publishing.domains import Hosts


@dataclass(frozen=True)
class Source:
    """A snapshot, or a set that others made, with the pairs that the subset has from it."""

    name: str
    begin: str
    """First and last day of the crawl; empty where the crawl's list does not say."""
    end: str
    pairs: int


@dataclass(frozen=True)
class SummaryFacts:
    """What the lake knows of a subset."""

    t: str
    is_sample: bool
    version: str
    pairs: int
    images: int
    """Distinct image URLs."""
    fetched: int | None
    """Images that are at hand; None where not all were asked for yet."""
    text_bytes: int
    languages: Mapping[str, int]
    sources: Sequence[Source]
    head_before: float | None
    head_after: float | None
    stages: Sequence[Mapping[str, Any]]
    """The data card's: {stage, rows_in, rows, dropped}."""
    images_dropped: Mapping[str, int]
    set_dropped: Mapping[str, int] | None
    """Pairs that the training set of t goes without; None where it is not made."""
    opt_outs: Mapping[str, Any]
    """The data card's section on signals against the use of matched pairs."""
    user_agent: str
    """Under which images are asked for; empty where none are."""
    opt_out_words: Sequence[str]
    """Words of X-Robots-Tag that keep an image out; none where no header does."""
    pages: Hosts
    image_hosts: Hosts
