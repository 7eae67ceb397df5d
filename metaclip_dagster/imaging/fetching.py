"""Fetch images, those that are gone from a second source too, and check what came, each payload once."""

import hashlib
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from metaclip_dagster.imaging.checking import BadImageError, CheckedImage
from metaclip_dagster.imaging.credentials import SIGNAL, CredentialsError, read_training_mining
from metaclip_dagster.imaging.hints import CHANGED, GONE, NO_HINT, Hint, compare_digests, hash_as_listed
from metaclip_dagster.imaging.second_source import fill_pattern
from metaclip_dagster.signals import list_signals, read_header_signals

Headers = tuple[tuple[str, str], ...]
Answer = bytes | str | tuple[bytes | str, Headers] | tuple[bytes | str, Headers, float]
FetchImages = Callable[[Sequence[str]], Iterator[tuple[str, Answer]]]
"""Takes URLs and answers each of them once, in any order: with its bytes, or in a word with why there are none.

Where the response has headers that speak of the image's use, the answer is a tuple of that and these headers; where
the seconds are known that it took, these come third.
"""


Signals = list[dict[str, str]]
CheckOnce = Callable[[bytes], tuple[str, CheckedImage | str, Signals | None]]
"""Gives the SHA-256 of bytes, the image or why it is none, and what its manifest says; None where it is unreadable."""


class Place(NamedTuple):
    """Where an image is asked for."""

    url: str
    address: str
    """Its URL, or the address at which a pool's file holds it."""


@dataclass(frozen=True)
class Fetching:
    """How the images of a ring are fetched, and what becomes of what came."""

    fetch: FetchImages
    check: CheckOnce
    form: str = ""
    """What the store is to keep."""
    second_source: str = ""
    """Pattern of the address at which images are asked for that are gone, as in `fill_pattern`; empty: nowhere."""
    only_same: bool = False
    """Whether bytes are dropped that are not those whose digest is listed."""
    hints: Mapping[str, Hint] = field(default_factory=dict)

    def fetch_images(
        self, images: Mapping[str, Place], seen: Counter[str]
    ) -> Iterator[tuple[dict[str, Any], bytes | None]]:
        """For each image, as it is answered: what the store's row can tell before it is stored, and the bytes.

        Raises ValueError if an address stays unanswered.
        """
        waiting: defaultdict[str, list[str]] = defaultdict(list)
        for image_id, place in images.items():  # a page may name a pool's address, which is then two images'
            waiting[place.address].append(image_id)
        gone: dict[str, list[_Answered]] = {}
        for answered in _ask(self.fetch, list(waiting)):
            image_ids = waiting.pop(answered.address)
            if again := self._find_again(answered, image_ids[0]):
                gone[again] = [answered, *gone.get(again, [])]
                waiting[answered.address] = image_ids
                continue
            yield from self._judge(answered, {image_id: images[image_id].url for image_id in image_ids}, seen)
        for answered in _ask(self.fetch, list(gone)):
            for before in gone.pop(answered.address):
                urls = {image_id: images[image_id].url for image_id in waiting.pop(before.address)}
                if reason := self._find_fault(answered.answer):
                    seen[f"second_source_{reason}"] += 1
                    yield from self._judge(before, urls, seen)
                else:
                    seen["second_source_answered"] += 1
                    yield from self._judge(answered, urls, seen, answered.address)

    def _find_again(self, answered: "_Answered", image_id: str) -> str | None:
        if not self.second_source or not isinstance(answered.answer, str) or answered.answer not in GONE:
            return None
        return fill_pattern(self.second_source, answered.address, self.hints.get(image_id, NO_HINT).crawled_at)

    def _find_fault(self, answer: bytes | str) -> str | None:
        checked = answer if isinstance(answer, str) else self.check(answer)[1]
        return checked if isinstance(checked, str) else None

    def _judge(
        self, answered: "_Answered", urls: Mapping[str, str], seen: Counter[str], source: str | None = None
    ) -> Iterator[tuple[dict[str, Any], bytes | None]]:
        answer = answered.answer
        digest, checked, of_image = (None, answer, []) if isinstance(answer, str) else self.check(answer)
        if of_image is None:
            seen["credentials_unread"] += 1
        came = {
            "fetched_sha256": digest,
            "fetched_size": None if isinstance(answer, str) else len(answer),
            "opt_outs": read_header_signals(answered.headers, "image") + (of_image or []),
            "source": source,
            "seconds": answered.seconds,
        }
        for image_id, url in urls.items():
            hint = self.hints.get(image_id, NO_HINT)
            row = {"image_id": image_id, "url": url, **came}
            if not isinstance(answer, str):
                row["fetched_md5"] = hash_as_listed(answer, hint)
            if self.only_same and compare_digests(row, hint) == CHANGED:
                yield row | {"reason": CHANGED}, None
            elif isinstance(checked, CheckedImage):
                yield row | checked.columns() | {"form": self.form}, checked.data
            else:
                yield row | {"reason": checked}, None


class _Answered(NamedTuple):
    address: str
    answer: bytes | str
    headers: Headers = ()
    seconds: float | None = None


def _ask(fetch: FetchImages, addresses: Sequence[str]) -> Iterator[_Answered]:
    """The answer to each address. Raises ValueError if one stays unanswered."""
    unanswered = set(addresses)
    for address, answer in fetch(addresses) if addresses else ():
        unanswered.discard(address)
        yield _Answered(address, *answer) if isinstance(answer, tuple) else _Answered(address, answer)
    if unanswered:
        raise ValueError(
            f"the image host left {len(unanswered)} of {len(addresses)} URLs unanswered, {min(unanswered)} among "
            "them; it must give bytes or a reason for each"
        )


_REMEMBERED_IMAGES, _REMEMBERED_BYTES = 4096, 64 << 20


def remember_checks(check: Callable[[bytes], CheckedImage]) -> CheckOnce:
    """`check` that looks at bytes which many URLs share once, as at the manifest in them.

    Memory is bounded: of an image that stays as it is only the numbers are remembered.
    """
    results: OrderedDict[str, tuple[CheckedImage | str, Signals | None]] = OrderedDict()
    num_bytes = 0

    def check_once(data: bytes) -> tuple[str, CheckedImage | str, Signals | None]:
        nonlocal num_bytes
        digest = hashlib.sha256(data).hexdigest()
        if digest in results:
            results.move_to_end(digest)
        else:
            try:
                checked = check(data)
                results[digest] = replace(checked, data=b"") if checked.data is data else checked, _read_manifest(data)
            except BadImageError as bad:
                results[digest] = str(bad), []
            num_bytes += _count_bytes(results[digest][0])
        result, signals = results[digest]
        while len(results) > _REMEMBERED_IMAGES or num_bytes > _REMEMBERED_BYTES:
            num_bytes -= _count_bytes(results.popitem(last=False)[1][0])
        if isinstance(result, CheckedImage) and not result.data:
            result = replace(result, data=data)
        return digest, result, signals

    return check_once


def _count_bytes(result: CheckedImage | str) -> int:
    return len(result.data) if isinstance(result, CheckedImage) else 0


def _read_manifest(data: bytes) -> Signals | None:
    """The signal of an image as it came, for one that is written anew has lost its manifest; None: it is unreadable."""
    try:
        said = read_training_mining(data)
    except CredentialsError:
        return None
    return list_signals([(SIGNAL, said)]) if said else []
