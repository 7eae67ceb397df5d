"""Say what a mixture is made of, and how often each of its sources is seen: by weights of images, or by shares."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class Source:
    """Snapshots and other pools that are held to one t and seen alike."""

    name: str
    snapshots: tuple[str, ...]
    """Keys, or patterns of them, as `CC-MAIN-*`."""
    t: str
    weight: float | None = None
    """How often an image is seen, beside those of other sources; None where the mixture names shares."""
    share: float | None = None
    """Which share of all seen pairs is of this source."""

    @property
    def drawn(self) -> dict[str, Any]:
        """Which pairs are in it."""
        return {"snapshots": list(self.snapshots), "t": self.t}

    @property
    def asked(self) -> dict[str, Any]:
        """What was asked of it: which pairs, and how often they are seen."""
        return {**self.drawn, **({"weight": self.weight} if self.share is None else {"share": self.share})}


@dataclass(frozen=True)
class SeenSource:
    """A source of a training set, and how often a training of some budget sees it."""

    name: str
    snapshots: tuple[str, ...]
    t: str
    asked: str
    """Its weight or share, in words."""
    pairs: int
    images: int
    pairs_seen: int
    share: float
    """Of all seen pairs."""
    factor: float
    """How often one of its images is seen, where one of the least seen source is seen once."""

    @property
    def times(self) -> float:
        """How often one of its images is seen, in the mean."""
        return self.pairs_seen / self.images


def parse_mixture(sources: Any) -> tuple[Source, ...]:
    """The sources of a mixture by name, each as `{"snapshots": ["CC-MAIN-*"], "t": "20", "weight": 3}`.

    All give a share, in place of a weight, or none does; a weight that is left out is 1. Raises ValueError, naming the
    source, for anything else.

    >>> [source.weight for source in parse_mixture({"ours": {"snapshots": "pool-ours", "t": "inf", "weight": 3}})]
    [3]
    """
    if not isinstance(sources, dict) or not sources:
        raise ValueError("name its sources, each with snapshots and a t")
    parsed = tuple(_parse_source(name, fields) for name, fields in sources.items())
    shares = [Fraction(str(source.share)) for source in parsed if source.share is not None]
    if shares and len(shares) < len(parsed):
        raise ValueError("some sources have a share and others none: give each a share, or each a weight")
    if shares and sum(shares) != 1:
        raise ValueError(f"its shares sum to {float(sum(shares)):g}, not to 1")
    return parsed


def assign_snapshots(sources: Sequence[Source], snapshots: Sequence[str]) -> dict[str, Source]:
    """The source of each of the pool's snapshots that is in one.

    Raises ValueError for a name of a source that no snapshot has, and for a snapshot that is in two.
    """
    of_snapshot: dict[str, Source] = {}
    for source in sources:
        for pattern in source.snapshots:
            named = [snapshot for snapshot in snapshots if fnmatchcase(snapshot, pattern)]
            if not named:
                raise ValueError(
                    f"{source.name}: the pool has no snapshot {pattern}, but {', '.join(snapshots)}; register it and "
                    "make it up to its admissions, or mend mixtures.json"
                )
            for snapshot in named:
                if of_snapshot.setdefault(snapshot, source) is not source:
                    raise ValueError(
                        f"{snapshot} is in the sources {of_snapshot[snapshot].name} and {source.name}: name it in one"
                    )
    return of_snapshot


def weigh_sources(sources: Sequence[Source], images: Mapping[str, int]) -> dict[str, int]:
    """Whole numbers that stand to each other as the sources' seen pairs, by what is asked and their images in the set.

    Raises ValueError for a source without an image.

    >>> weigh_sources([Source("ours", ("*",), "inf", weight=3), Source("crawl", ("*",), "20", weight=1)],
    ...               {"ours": 100, "crawl": 700})
    {'ours': 3, 'crawl': 7}
    """
    if empty := [source.name for source in sources if not images.get(source.name)]:
        raise ValueError(
            f"{', '.join(empty)}: no image in the training set; leave the source out, take a larger t, or look why "
            "its images could not be had"
        )
    asked = [
        Fraction(str(source.weight)) * images[source.name] if source.share is None else Fraction(str(source.share))
        for source in sources
    ]
    numbers = [int(number * math.lcm(*(it.denominator for it in asked))) for number in asked]
    return {source.name: n // math.gcd(*numbers) for source, n in zip(sources, numbers, strict=True)}


def describe_sources(
    sources: Sequence[Source], pairs: Mapping[str, int], images: Mapping[str, int], budget: int
) -> list[SeenSource]:
    """Each source with its pairs and images in the set, and how many of the budget's seen pairs are of it."""
    shares = [*weigh_sources(sources, images).values()]
    often = [Fraction(share, images[source.name]) for source, share in zip(sources, shares, strict=True)]
    return [
        SeenSource(
            source.name,
            source.snapshots,
            source.t,
            f"weight {source.weight:g}" if source.share is None else f"share {source.share:g}",
            pairs[source.name],
            images[source.name],
            pairs_seen,
            share / sum(shares),
            float(often_seen / min(often)),
        )
        for source, share, pairs_seen, often_seen in zip(
            sources, shares, count_seen(budget, shares), often, strict=True
        )
    ]


def find_source(position: int, shares: Sequence[int]) -> int:
    """The source of which the pair seen at a position of the budget is: each comes as evenly as whole numbers allow.

    >>> [find_source(position, [3, 7]) for position in range(10)]
    [1, 1, 1, 0, 1, 1, 0, 1, 1, 0]
    """
    rest = sum(shares)
    for source, share in enumerate(shares):
        before = position * share // rest
        if (position + 1) * share // rest > before:
            return source
        position, rest = position - before, rest - share
    raise ValueError("shares are positive whole numbers")


def count_seen(num_pairs: int, shares: Sequence[int]) -> list[int]:
    """How many of the first `num_pairs` positions are of each source; off its share by less than there are sources.

    >>> count_seen(256, [3, 7])
    [76, 180]
    """
    counts, rest = [], sum(shares)
    for share in shares:
        counts.append(num_pairs * share // rest)
        num_pairs, rest = num_pairs - counts[-1], rest - share
    return counts


_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}")


def check_name(name: str) -> str:
    """The name of a mixture or a source, which folders and partition keys are called by."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r:.80} is no name: take lower-case letters, digits, - and _")
    return name


def _parse_source(name: str, fields: Any) -> Source:
    check_name(name)
    if not isinstance(fields, dict) or (unknown := sorted(fields.keys() - {"snapshots", "t", "weight", "share"})):
        wrong = ", ".join(unknown) if isinstance(fields, dict) else repr(fields)
        raise ValueError(f"{name}: a source has snapshots, a t, and a weight or a share, not {wrong:.80}")
    snapshots = fields.get("snapshots")
    snapshots = [snapshots] if isinstance(snapshots, str) else snapshots
    if not isinstance(snapshots, list) or not snapshots or not all(it and isinstance(it, str) for it in snapshots):
        raise ValueError(f'{name}: give its snapshots, as {{"snapshots": ["CC-MAIN-*"]}}')
    t = fields.get("t")
    if isinstance(t, bool) or not isinstance(t, (int, str)):
        raise ValueError(f'{name}: give its t, as "20000", or "inf" for all that there is')
    if {"weight", "share"} <= fields.keys():
        raise ValueError(f"{name}: has a weight and a share; give one of them")
    for key in ("weight", "share"):
        value = fields.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise ValueError(
                f"{name}: its {key} is a number above 0, not {value!r:.80}; to see none of it, leave it out"
            )
    weight = None if "share" in fields else fields.get("weight", 1)
    return Source(name, tuple(snapshots), str(t), weight, fields.get("share"))
