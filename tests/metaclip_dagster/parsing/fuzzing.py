"""Damage small WATs at random, and compare what `parse_wat` makes of them with the careful reader, record by record.

python -m tests.metaclip_dagster.parsing.fuzzing [--minutes N] [--seed N]
"""

import argparse
import gzip
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pyarrow as pa

from metaclip_dagster.parsing import columns, parse_wat
from metaclip_dagster.parsing.pages import is_wat_record, read_wat_page
from metaclip_dagster.parsing.pairing import pair_texts
from metaclip_dagster.parsing.pairs import _read_pages, _refuse_cut, _refuse_others
from metaclip_dagster.parsing.records import read_records
from metaclip_dagster.schemas import PAIRS
from tests.metaclip_dagster.archives import wat_record

Result = tuple[pa.Table, Counter[str], Counter[str], str]


def parse_carefully(
    archive: BytesIO, *, name: str, dropped: Counter[str], seen: Counter[str], max_record_bytes: int
) -> Iterator[pa.RecordBatch]:
    """As `parse_wat`, with every record read by itself and whole."""
    num_cut, types = dropped["truncated"], set[str]()
    records = read_records(archive, name=name, dropped=dropped, max_record_bytes=max_record_bytes)
    pages = _read_pages(records, read_wat_page, is_wat_record, types, dropped=dropped, seen=seen)
    yield from pair_texts(pages, set(), dropped=dropped, seen=seen)
    _refuse_others(types, name)
    _refuse_cut(dropped["truncated"] - num_cut, name)


def read(parse: Any, archive: bytes, max_record_bytes: int = 64 << 20) -> Result:
    """Rows, what was dropped and seen, and the error that ended it; counts of an archive that is none are nothing."""
    dropped, seen = Counter[str](), Counter[str]()
    batches, fault = [], ""
    options = {"name": "x", "dropped": dropped, "seen": seen, "max_record_bytes": max_record_bytes}
    try:
        for batch in parse(BytesIO(archive), **options):
            batch.validate(full=True)
            batches.append(batch)
    except (EOFError, ValueError) as error:
        fault = repr(error)
    table = pa.Table.from_batches(batches, PAIRS).combine_chunks()
    return (table, Counter(), Counter(), fault) if "no WARC record" in fault else (table, +dropped, +seen, fault)


URLS = """a.png|/a/b.png|http://h.example/x.png|https://H.example/x y.png|//cdn.example/q.png?a;b=;|//cdn.example/a/../b
../up.png|./x.png|a//b.png|data:image/png;base64,AA| DATA:x||#f|?q|?|x?|a.png#f|http://h/x\\y|http://[::1/x
http://h:99999/|http://h:123/ä|http://h.example|javascript:x|ftp://x/y|a\tb.png|犬.png|http://h.example/a"b|http:rel.png
https:///x|h|ht|http|http:|https://|//|///x|/|//x|//X.example/a|a;b|a b|a..b/c..|a/../b|a/.|.x|../../../../x/y.png|..//x
./../x//y?a//b|.//|../|..|a/b//|a///b?|a//?b|/a//b|/../x|.../x|..a/x|../.x|../x/../y|././k|-|_~|%41|http://h.example//a
data|datA:|a?b/c|a?b?c|a/?b|http://a_b.example/x|http://a..b/x|http://.a/x|http://h.:80/x|http://h:/x|http://h:12345/x
http://h?x|a&b.png|&a|http://xn--a.example/x|http://a.xn--b/|http://1.2/x|http://a.1/x|http://1.a/x?\\|http://a/%2e/x
//1.2.3.4/x|//a/.|//a?x|a&amp;b.png|/x?a=1&copy=2|http://a/x?"y"|http://a/x'y|http://a/x?a'b|http://a/{x}|a/%2e%2e/b
../%2e/b|http://h.example/a/.b|http://h.example/?/.x|http://h.example/~[x]|@x|x@y|http://u:p@h/x|http://h.example:80/x
http://-a.b/x|http://_a/x|http://a-/x|HTTP://h/x|https:x|\x00a.png|a\x00b.png|\ud800.png|/\\x|\\\\h\\x""".replace(
    "\n", "|"
).split("|")
URLS += ["x" * 8192, "x" * 8193, "/" + "y" * 8192, "http://h.example/" + "y" * 8175, "http://h.example/" + "y" * 8176]
URLS += [
    "../" * 2731 + "x",
    "https://creativecommons.org/licenses/by/4.0/",
    "//i.creativecommons.org/l/by/4.0/88x31.png",
]
TEXTS = [
    None,
    "a cat",
    "",
    " ",
    "a dog",
    " a  dog ",
    "a\tdog\n",
    "犬",
    "a\u00a0b",
    "\u3000x\u2003y\u200b",
    "\x85a",
    "a\u2028b",
]
TEXTS += ["\u180ea\u1680b\u205f", "\u202f", 'say "x"', "a\\b", "a\b\x01b", "\x1ca\x1db", "\x7fx", "😀", "\ud800x", "I"]
TEXTS += ["IMG@/src", "a/b", "\u2029", "\u200a\u200b", "\ue000", "\ufffd", "\u0080\u0086", "title", "\xad", "\x00"]
TEXTS += ["a &amp; b", "&nbsp;", "&", "caf&eacute", "&#x41;"]
BASES = [None, "http://b.example/d/e", "/q/", "../", "", "https://b.example", "http://b.example/a//b", "#x", 7]
BASES += [
    "http://b.example/./x/",
    "//c.example/z/",
    "ftp://b/",
    "file:///x",
    "http://b.example/" + "z/" * 4096,
    "&#47;x/",
]
CREATIVE_COMMONS = [
    "https://creativecommons.org/licenses/by/4.0/",
    "HTTP://www.CreativeCommons.org/licenses/by-sa/3.0/de",
]
CREATIVE_COMMONS += [
    "//creativecommons.org/publicdomain/zero/1.0/",
    "&#104;ttps://creativecommons.org/licenses/by/4.0/",
]
WARCS = [
    "CC-MAIN-20240519062000-20240519092000-00001.warc.gz",
    "CC-MAIN-20150519062000-x.warc.gz",
    "c.warc.gz",
    "a\tb",
    5,
]
DATES = ["2024-05-19T06:20:00Z", "2015-05-19T06:20:00Z", "yesterday", 7, None, ["2015-01-01T00:00:00Z"]]


def make_record(draw: random.Random) -> bytes:
    """A WAT record, mostly as a crawl has it, with whatever a crawl may have too."""
    page = draw.choice(
        ["http://h.example/p/a.html"] * 4 + ["https://h.example/", "<http://h.example/x>", "h", " http://H/s "]
    )
    oddness = draw.choice([0, 0, 0, 0.1])
    head: dict[str, Any] = {"Title": "x", "Metas": [make_meta(draw) for _ in range(draw.randrange(3))]}
    head["Link"] = [make_link(draw, 0) | {"path": "LINK@/href"}] if draw.random() < 0.3 else []
    if draw.random() < 0.4:
        head["Base"] = draw.choice(BASES)
    html: dict[str, Any] = {"Head": head, "Links": [make_link(draw, oddness) for _ in range(draw.randrange(1, 12))]}
    headers: dict[str, Any] = {"ETag": '"x"'}
    if draw.random() < 0.2:
        headers["X-Robots-Tag"] = draw.choice(["noai", ["noindex", "gptbot: noai"], 7, "all"])
    about = {"WARC-Type": "response", "WARC-Target-URI": page, "WARC-Date": draw.choice(DATES)}
    response: dict[str, Any] = {"Headers": headers, "HTML-Metadata": html}
    envelope: dict[str, Any] = {"Payload-Metadata": {"HTTP-Response-Metadata": response}, "WARC-Header-Metadata": about}
    described: dict[str, Any] = {"Container": {"Filename": draw.choice(WARCS), "Offset": "123"}, "Envelope": envelope}
    if draw.random() < 0.1:
        about["WARC-Target-URI"] = draw.choice([[page, "y"], 7, None, "", [], "x" * 9000])
    if draw.random() < 0.1:
        described["Container"] = draw.choice(
            [{}, {"Filename": 5, "Offset": 7}, {"Offset": "٣"}, None, [make_link(draw)]]
        )
    if draw.random() < 0.1:
        envelope["Links"] = [make_link(draw)]
    if draw.random() < 0.05:
        html["Links"] = draw.choice([7, None, {}, "x", {"": 2}])
    if draw.random() < 0.05:
        del envelope[draw.choice(list(envelope))]
    if draw.random() < 0.04:
        described["Envelope"] = draw.choice([{}, None, 5, []])
    separators = draw.choice([(",", ":")] * 18 + [(", ", ": "), (",\n", ":")])
    block = json.dumps(described, ensure_ascii=draw.random() < 0.2, separators=separators)
    if draw.random() < 0.3:
        block = block.replace("</", "<\\/").replace("IMG@/", "IMG@\\/" if draw.random() < 0.1 else "IMG@/")
    headers = {"WARC_Date": "2015-01-01T00:00:00Z"} if draw.random() < 0.1 else {}
    return wat_record(block.encode("utf-8", "surrogatepass"), **headers)


def make_meta(draw: random.Random) -> dict[str, Any]:
    """A meta of a page's Head."""
    name = draw.choice(["robots", "description", "tdm-reservation", "GPTBot", "&#114;obots", 7])
    content = draw.choice(["index", "NoAI", "1", " 1", "none", "no\u0061i", "a, noml;", "n&#111;ai", "", None])
    return draw.choice(
        [{"name": name, "content": content}, {"property": "og:image", "content": "x"}, {"content": content}]
    )


def make_link(draw: random.Random, oddness: float = 0.1) -> Any:
    """An image, mostly, or any other link, or what is none."""
    kind = draw.random() * (0.8 + 2 * oddness)
    url: Any = draw.choice(URLS if draw.random() < 0.5 else URLS[:5])
    if kind < 0.6:
        texts = {key: text for key in ("alt", "title") if (text := draw.choice(TEXTS)) is not None}
        others = {"width": 5} if draw.random() < 0.03 else {}
        return {"path": "IMG@/src", "url": url, **texts, **others}
    if kind < 0.63:
        rel = draw.choice(
            [{}, {"rel": "license"}, {"rel": "me LICENSE nofollow"}, {"rel": "lic&#101;nse"}, {"rel": "me"}]
        )
        return {"path": "A@/href", "url": draw.choice(CREATIVE_COMMONS), "text": draw.choice(["CC BY", "x", 7]), **rel}
    if kind < 0.8:
        return {"path": "A@/href", "url": url, "text": str(draw.choice(TEXTS))}
    if kind < 0.85:
        return {"path": "IMG@/src", "url": draw.choice([7, None]), "alt": draw.choice([7, None, {}, ["x"], "x"])}
    if kind < 0.9:
        image = {"path": "IMG@/src", "url": "n.png", "alt": "nested"}
        odd = [{"": 3}, {"": "x"}, {"": {}}, [], 5, "IMG@/src", None, {}, [image], {"x": image}, {"path": "IMG@/src\t"}]
        return draw.choice([*odd, {"path": "IMG@/srcset", "url": "u", "alt": "v"}, {"a": "IMG@/src", "path": "A"}])
    return {"path": "A@/href", "url": f"/x{draw.randrange(9)}"}


IMAGE = b'{"path":"IMG@/src","url":"c.png","alt":"more"}'
PIECES = [bytes([byte]) for byte in b'"\\{}[],: \t\n\r\x00\x1f\x7f-0.eI@/&'] + [
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xe2\x80",
]
PIECES += [
    b"\\u0041",
    b"\\ud800",
    b"\\ud83d\\ude00",
    b"\\/",
    b"\\x",
    b"\\u00",
    b"\\\\",
    b'\\"',
    b"\\n",
    b"\\b",
    b"\\u0000",
]
PIECES += [
    b'"path":"IMG@\\/src",',
    b'"\\u0070ath":"IMG@/src",',
    b'"path":"IMG@/src",',
    b'"path":"A@/href",',
    b'"":',
    b'""',
]
PIECES += [
    b'{"":1}',
    b',{"":1}',
    b'{"":1},',
    b"{}",
    b"{},",
    b',{"a":"b"}',
    IMAGE,
    b"," + IMAGE,
    b"NaN,",
    b"1" * 4400 + b",",
]
PIECES += [
    b"[" * 1100 + b"]" * 1100 + b",",
    b"[" * 998,
    b"\n\n",
    b"\r\n\r\n",
    b"\r\n\r\nWARC/1.0\r\n",
    b'"IMG@',
    b'\\"IMG@',
]
PIECES += [
    b"\xef\xbb\xbf",
    b"WARC-Type: metadata",
    b"WARC-Type: request\r\n",
    b"\r\nWARC-Type: metadata\r\n",
    b"\r",
    b"X: y\n\n{}",
]
PIECES += [
    b'"ur\\u006c":"https://creativecommons.org/licenses/by/4.0/",',
    b'"cont\\u0065nt":"noai",',
    b'"rel":"lic\\u0065nse",',
]


def damage(draw: random.Random, data: bytes) -> bytes:
    """The bytes, changed in a few places, most of them where JSON has its seams."""
    for _ in range(draw.choice([0, 1, 1, 1, 2, 3, 6])):
        at = draw.randrange(len(data) + 1)
        if draw.random() < 0.5 and (seams := [i for i, byte in enumerate(data) if byte in b'"{}[],:\\']):
            at = draw.choice(seams) + draw.randrange(2)
        piece = draw.choice(PIECES)
        kind = draw.randrange(6)
        data = (
            data[:at] + piece + data[at:],
            data[:at] + piece + data[at + len(piece) :],
            data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :],
            data[:at] + data[at + draw.randrange(1, 40) :],
            data[: at + draw.randrange(1, 300)] + data[at:],
            data[:at] + bytes(byte ^ (1 << draw.randrange(8)) for byte in data[at : at + 1]) + data[at + 1 :],
        )[kind]
    return data


def make_archive(draw: random.Random) -> bytes:
    """A WAT of a few records, some of them damaged, as members, or plain, or gzipped whole."""
    records = [make_record(draw) for _ in range(draw.randrange(1, 7))]
    if draw.random() < 0.2:
        info = b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 3\r\n\r\nabc\r\n\r\n"
        records.insert(draw.randrange(len(records) + 1), info)
    if draw.random() < 0.7:
        records = [damage(draw, record) if draw.random() < 0.6 else record for record in records]
    style = draw.random()
    if style < 0.1:
        archive = b"".join(records)
    elif style < 0.17:
        archive = gzip.compress(b"".join(records), 1)
    else:
        archive = b"".join(gzip.compress(record, 1) for record in records)
    return damage(draw, archive) if draw.random() < 0.1 else archive


def compare(seed: int) -> Result:
    """What both readers make of the archive of this seed; it is kept as a file where they differ."""
    draw = random.Random(seed)
    archive, cap, chunk_bytes = make_archive(draw), draw.choice([64 << 20] * 5 + [3000]), columns._CHUNK_BYTES
    columns._CHUNK_BYTES = draw.choice([2000, 20_000, chunk_bytes])
    try:
        answer, expected = read(parse_wat, archive, cap), read(parse_carefully, archive, cap)
    finally:
        columns._CHUNK_BYTES = chunk_bytes
    if answer != expected:
        path = Path(gettempdir(), f"fuzzed-{seed}.wat")
        path.write_bytes(archive)
        pairs = zip(("rows", "dropped", "seen", "error"), answer, expected, strict=True)
        differing = "\n".join(f"{what}: {one}\nexpected: {other}" for what, one, other in pairs if one != other)
        raise AssertionError(f"seed {seed}, archive in {path}\n{differing}")
    return answer


def main() -> None:
    """Compare until the time is over, and print what was met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    until, seed, met = time.time() + 60 * args.minutes, args.seed, Counter[str]()
    while time.time() < until:
        table, dropped, seen, fault = compare(seed)
        met.update(dropped + seen + Counter(archives=1, rows=table.num_rows, faults=bool(fault)))
        seed += 1
    print(f"seeds from {args.seed}: no difference in {dict(met)}")  # noqa: T201  # a command's answer


if __name__ == "__main__":
    main()
