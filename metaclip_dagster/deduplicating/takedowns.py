"""Find the pairs that a list of takedowns names: by URL, domain, page, image or pair."""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial

import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.schemas import named
from metaclip_dagster.urls import image_id_of, normalise_host, normalise_url

TAKEN_DOWN = "taken_down"
"""The reason in EXCLUSIONS, and that of an image which is never to be fetched again."""

Line = tuple[str, str, str]
"""Where it stands, for messages; what kind of value; the value."""


@dataclass(frozen=True)
class ImageSet:
    """A set of images by id: as 12 bytes, and as hexadecimal digits, since tables have either."""

    raw: pa.Array
    text: pa.Array

    @classmethod
    def of(cls, image_ids: Iterable[str]) -> "ImageSet":
        """From hexadecimal digits."""
        texts = sorted(set(image_ids))
        return cls(pa.array([bytes.fromhex(text) for text in texts], pa.binary(12)), pa.array(texts, pa.string()))

    def contains(self, column: pa.Array) -> pa.Array:
        """Which images of a column, of bytes or of hexadecimal digits, are in the set: a boolean each."""
        return pc.is_in(column, self.text if pa.types.is_string(column.type) else self.raw)


@dataclass(frozen=True)
class TakedownIndex:
    """A list of takedowns, ready for comparing with rows: domains in lower case and ASCII, with all that lies below."""

    pair_ids: pa.Array
    images: ImageSet
    domains: frozenset[str]
    page_domains: frozenset[str]

    @property
    def of_whole_images(self) -> bool:
        """Whether all pairs of an image go where one does."""
        return not (len(self.pair_ids) or self.page_domains)


@named("takedowns:build_takedowns")
def build_takedowns(listed: Iterable[Line], image_ids: Collection[str] = ()) -> TakedownIndex:
    """Read every line's value; `image_ids` are those, as the image store knows them, that an image_sha256 is of.

    Raises ValueError, naming the line, for a value that is not of its kind.
    """
    values: dict[str, set[str]] = {kind: set() for kind in _READ}
    for where, kind, value in listed:
        normal = read_value(where, kind, value)
        values[kind].add(normal)
    return TakedownIndex(
        pair_ids=pa.array(sorted(map(int, values["pair_id"])), pa.uint64()),
        images=ImageSet.of(values["url"] | values["image_id"] | set(image_ids)),
        domains=frozenset(values["domain"]),
        page_domains=frozenset(values["page_domain"]),
    )


def read_value(where: str, kind: str, value: str) -> str:
    """The value of a line as rows have it: an image's id for a URL, a domain in lower case and ASCII.

    Raises ValueError, naming the line, for a kind that there is not and a value that is not of its kind.
    """
    if kind not in _READ:
        raise ValueError(f"{where}: there is no kind {kind[:200]!r}; there are {', '.join(_READ)}")
    try:
        return _READ[kind](value)
    except ValueError as error:
        raise ValueError(f"{where}: {kind} {value[:200]!r}: {error}") from None


def flag_taken_down(rows: pa.RecordBatch, takedowns: TakedownIndex) -> pa.Array:
    """Which rows are taken down, by those of pair_id, image_id, url and page_url that they have: a boolean each."""
    is_listed = pa.repeat(pa.scalar(False), rows.num_rows)
    tests: dict[str, Callable[[pa.Array], pa.Array]] = {
        "pair_id": lambda ids: pc.is_in(ids, takedowns.pair_ids),
        "image_id": takedowns.images.contains,
        "url": partial(_flag_below, domains=takedowns.domains),
        "page_url": partial(_flag_below, domains=takedowns.page_domains),
    }
    for name, test in tests.items():
        if name in rows.schema.names:
            is_listed = pc.or_(is_listed, test(rows[name]))
    return is_listed


def flag_images(rows: pa.RecordBatch, images: ImageSet) -> pa.Array:
    """Which rows are of these images by their id or, where `url` is spelled as older versions did, by today's id.

    The image store and tables that were made before a change of URL_NORMALISATION keep the ids of their time.
    """
    is_listed = images.contains(rows["image_id"])
    if "url" not in rows.schema.names or not len(images.raw):
        return is_listed
    respelled = pa.array(map(respell_image_id, rows["url"].to_pylist()), pa.string())
    if respelled.null_count == len(respelled):
        return is_listed
    return pc.or_(is_listed, images.contains(respelled))


def respell_image_id(url: str | None) -> str | None:
    """The image's id of today, if the URL has another spelling today."""
    normal = normalise_url(url, "")[0] if url else None
    return None if normal in (url, None) else image_id_of(normal).hex()


def encode_hosts(urls: pa.Array) -> pa.DictionaryArray:
    """The host of each URL, as it is spelled there, each distinct one once; null for what is no URL."""
    return pc.struct_field(pc.extract_regex(urls, _HOST), "host").dictionary_encode()


@lru_cache(maxsize=16_384)
def list_domains(host: str) -> tuple[str, ...]:
    """The domains that a host is in, itself first, as a list of takedowns has them.

    >>> list_domains("A.b.example.")
    ('a.b.example', 'b.example', 'example')
    """
    labels = normalise_host(host).rstrip(".").split(".")  # pages' URLs have it in whichever script
    return tuple(".".join(labels[start:]) for start in range(len(labels)))


def _read_url(value: str) -> str:
    url, reason = normalise_url(value, "")
    if url is None:
        raise ValueError(f"not an image's URL ({reason}): give it whole, with http:// or https://")
    return image_id_of(url).hex()


def _read_domain(value: str) -> str:
    domain = normalise_host(value).rstrip(".")
    if not _DOMAIN.fullmatch(domain):
        inside = _INSIDE.fullmatch(value)
        host = inside and normalise_host(inside[1]).rstrip(".")
        meant = f"; is {host} meant?" if host and _DOMAIN.fullmatch(host) else ""
        raise ValueError(
            f"a host's name with a dot, without scheme, port, path and *: all below it is meant anyway{meant}"
        )
    return domain


def _read_digits(value: str, *, digits: int) -> str:
    if not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", value):
        raise ValueError(f"not {digits} hexadecimal digits")
    return value.lower()


def _read_pair_id(value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,20}", value) or int(value) >= 2**64:
        raise ValueError("not a number below 2**64")
    return value


_READ: dict[str, Callable[[str], str]] = {
    "url": _read_url,
    "domain": _read_domain,
    "page_domain": _read_domain,
    "image_id": partial(_read_digits, digits=24),
    "image_sha256": partial(_read_digits, digits=64),
    "pair_id": _read_pair_id,
}
KINDS = tuple(_READ)
"""What a line of the list may name."""
_INSIDE = re.compile(r"(?:[a-z]+:)?/*(?:\*\.)?([^/?#@:\s*]+)(?::\d+)?(?:[/?#].*)?", re.IGNORECASE)
"""Where a host stands in what people give for one: a URL, a pattern, a host with a port or a path."""
_DOMAIN = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)+")
_HOST = r"(?i)^https?://(?:[^/?#]*@)?(?P<host>\[[^\]]*\]|[^/?#:\\]+)"


def _flag_below(urls: pa.Array, *, domains: frozenset[str]) -> pa.Array:
    """Whether each URL's host is one of the domains, or below one; every distinct host is looked at once."""
    if not domains:
        return pa.repeat(pa.scalar(False), len(urls))
    hosts = encode_hosts(urls)
    below = [not domains.isdisjoint(list_domains(host or "")) for host in hosts.dictionary.to_pylist()]
    return pc.fill_null(pa.array(below, pa.bool_()).take(hosts.indices), False)
