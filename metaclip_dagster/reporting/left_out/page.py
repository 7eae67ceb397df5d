"""Describe what a training set leaves out, as JSON and as a page with pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from metaclip_dagster.reporting.html.pages import render
from metaclip_dagster.reporting.html.thumbnails import Picture, Pictures, describe_picture


@dataclass(frozen=True)
class Group:
    """Images that look alike: the first, and some of those that go for being near it."""

    first: Picture
    copies: Sequence[Picture]
    num_copies: int


@dataclass(frozen=True)
class Reason:
    """Why images are not in the set, or were noticed only, with some; the note of each says what was measured."""

    reason: str
    pairs: int
    """That the set lacks for it."""
    pictures: Sequence[Picture]
    says: str = ""
    """A filter's limits, in words."""
    images: int | None = None
    """That it holds of, where they are counted."""


@dataclass(frozen=True)
class HostCounts:
    """What a host was asked for, and what came of it."""

    host: str
    images: int
    stored: int
    failed: int
    fetched_bytes: int
    seconds: float
    """Of the last request for each image, together; 0 where they did not come from the web."""
    second_source: int
    """Images that came from an archive instead."""
    reasons: Mapping[str, int]
    """Failures, those of the commonest reasons."""

    @property
    def megabytes(self) -> float:
        """What came, in megabytes."""
        return self.fetched_bytes / 1e6

    @property
    def why(self) -> str:
        """The commonest reasons in words."""
        return ", ".join(f"{num:,} {reason}" for reason, num in self.reasons.items())


@dataclass(frozen=True)
class LeftOut:
    """All that a training set leaves out of its subset."""

    training_set: str
    images: int
    pairs: int
    """What is in the set."""
    distance: int | None
    """Bits in which near duplicates may differ; None where none were looked for."""
    groups: Sequence[Group] = ()
    filtered: Sequence[Reason] = ()
    """By what was seen in them."""
    absent: Sequence[Reason] = ()
    """By why there is no image, or it may not be used: their texts and URLs, without pictures."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Pairs of the subset that are not in the set, by reason."""
    hosts: Sequence[HostCounts] = ()
    """Those of which most images failed."""
    sources: Sequence[Mapping[str, Any]] = ()
    """Of a mixture: each source's `name`, `snapshots`, `t`, what was `asked`, `pairs`, `images`, and of a budget its
    `pairs_seen`, their `share` and how many `times` one of its images is seen."""


def describe_left_out(left_out: LeftOut) -> dict[str, Any]:
    """What the page shows, as JSON: with whole texts and URLs, without bytes of pictures."""
    return {
        "training_set": left_out.training_set,
        "images": left_out.images,
        "pairs": left_out.pairs,
        "dropped": dict(left_out.dropped),
        "sources": [dict(it) for it in left_out.sources],
        "near_duplicate_distance": left_out.distance,
        "near_duplicates": [
            {
                "first": describe_picture(it.first),
                "copies": [describe_picture(copy) for copy in it.copies],
                "num": it.num_copies,
            }
            for it in left_out.groups
        ],
        "filtered": [_describe_reason(it) for it in left_out.filtered],
        "absent": [_describe_reason(it) for it in left_out.absent],
        "hosts": [asdict(it) for it in left_out.hosts],
    }


def render_left_out(left_out: LeftOut, mode: Pictures) -> str:
    """The page, with pictures in the `mode` of the deployment."""
    return render("left_out/left_out.html", left_out=left_out, mode=mode)


def _describe_reason(it: Reason) -> dict[str, Any]:
    pictures = [describe_picture(picture) for picture in it.pictures]
    return {"reason": it.reason, "says": it.says, "pairs": it.pairs, "images": it.images, "examples": pictures}
