"""Choose the entries whose pictures a data card shows, and describe what D(t) keeps of each beside what it drops."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any

from metaclip_dagster.reporting.html.thumbnails import Picture, describe_picture

NUM_ENTRIES = 4
"""Of those that balancing thins, and as many of those that it keeps whole."""
NUM_SPARE = 2
"""More of each, for those of whose pairs no picture is at hand."""


@dataclass(frozen=True)
class EntryPictures:
    """An entry with pictures of pairs that match it."""

    entry: Mapping[str, Any]
    """Its row of a card: entry_id, entry, before, after and more."""
    of_kept: Sequence[Picture]
    of_dropped: Sequence[Picture]

    @property
    def is_thinned(self) -> bool:
        """Whether balancing drops any of its pairs."""
        return bool(self.entry["before"] > self.entry["after"])


@dataclass(frozen=True)
class CardPictures:
    """The pictures of a card, and from where they could come."""

    entries: Sequence[EntryPictures] = ()
    rings: Sequence[str] = ()
    """Those whose images were fetched; none of no ring."""
    wider: str = ""
    """The rung whose pairs are looked through for what D(t) drops; D(t)'s own where no larger one has images."""
    forms: Mapping[str, int] = field(default_factory=dict)
    """Images of those rings by the form that they are stored in, as `256,jpg,95`; empty where all are as they came."""


def choose_entries(card: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries to look for pictures of: one of each power of ten by turns, of what is thinned and what is not.

    They are examples that the card's table of groups has already, so that any run chooses alike.
    """
    groups = [group["examples"] for group in reversed(card["groups"])]
    by_turns = [row for row in chain.from_iterable(zip_longest(*groups)) if row and row["after"]]
    sides = ([row for row in by_turns if (row["before"] > row["after"]) is thinned] for thinned in (True, False))
    return [row for side in sides for row in side[: NUM_ENTRIES + NUM_SPARE]]


def choose_pictured(galleries: Iterable[EntryPictures]) -> list[EntryPictures]:
    """The first of either side that have any picture, the most frequent first."""
    seen = [it for it in galleries if any(picture.thumbnail for picture in (*it.of_kept, *it.of_dropped))]
    sides = ([it for it in seen if it.is_thinned is thinned][:NUM_ENTRIES] for thinned in (True, False))
    return [it for side in sides for it in sorted(side, key=lambda it: -it.entry["before"])]


def describe_pictures(pictures: CardPictures) -> dict[str, Any]:
    """The card's section as JSON: which pictures are on the page, with their URLs and whole texts, and no bytes."""
    return {
        "rings": list(pictures.rings),
        "wider": pictures.wider,
        **({"forms": dict(pictures.forms)} if pictures.forms else {}),
        "entries": [
            {
                **it.entry,
                "kept": [describe_picture(picture) for picture in it.of_kept],
                "dropped": [describe_picture(picture) for picture in it.of_dropped],
            }
            for it in pictures.entries
        ],
    }


def drop_pictures(page: str) -> str:
    """The page of a card without its pictures and what is said of them, for those who are given the subset.

    Nothing that a crawl brought can hold the marks: whatever it brought is escaped.
    """
    return re.sub("<!-- pictures -->.*<!-- end of pictures -->", _NOT_GIVEN, page, flags=re.DOTALL)


_NOT_GIVEN = "<p>The pictures belong to their owners, and are not given away with this card.</p>"
