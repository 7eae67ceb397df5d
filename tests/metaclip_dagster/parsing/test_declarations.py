"""What a page says of its use is read alike from its WAT and its WARC, and a licence only where it names one."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.builder.statements import Answer
from data.builder.warc import compress, fetch_records, warcinfo
from data.builder.wat import wat_records
from metaclip_dagster.parsing.licenses import identify_license, read_image_licenses
from tests.metaclip_dagster.archives import content, member, response, warc_rows, wat_record, wat_rows

URL = "http://h.example/p/a.html"
COLUMNS = ("crawled_at", "page_signals", "license", "license_evidence")
BY, BY_SA = "https://creativecommons.org/licenses/by/4.0/", "https://creativecommons.org/licenses/by-sa/4.0/"
IMAGE = '<img src="/a.png" alt="a dog">'
BADGE = '<img src="https://licensebuttons.net/l/by/4.0/88x31.png" alt="Creative Commons">'
MORE = "".join(f'<a href="/{number}.html">more</a>' for number in range(20))


def read_page(body: str, *, head: str = "", headers: tuple[tuple[str, str], ...] = ()) -> tuple[list[Any], list[Any]]:
    """The page's columns, a row for each of its pairs, by its WAT and by its WARC."""
    info = warcinfo("crawl.warc.gz", "SAMPLE", "2026-01-05T00:00:00Z")
    page = f"<!DOCTYPE html><html><head><title>t</title>{head}</head><body>{body}</body></html>".encode()
    answer = Answer(URL, page, content_type="text/html; charset=utf-8")
    records = [info, *fetch_records(answer, date="2026-01-05T01:02:03Z", info=info, headers=headers)]
    warc = compress(records)
    wat = compress(wat_records("crawl.warc.gz", "crawl.warc.wat.gz", records, warc, "2026-02-01T00:00:00Z"))
    by_wat = wat_rows(b"".join(wat))
    by_warc = warc_rows(b"".join(warc), name="crawl.warc.gz")
    return [[row[name] for name in COLUMNS] for row in by_wat], [[row[name] for name in COLUMNS] for row in by_warc]


def read_license(body: str, *, head: str = "") -> str | None:
    """The licence of the page's first pair, the same in both."""
    by_wat, by_warc = read_page(body, head=head)
    assert by_wat == by_warc
    _, _, license_id, evidence = by_wat[0]
    assert (license_id is None) == (evidence is None)
    return str(license_id) if license_id else None


METAS = [
    *('<meta name="robots" content="noai, noimageai">', '<meta content="1" name="TDM-Reservation">'),
    *('<meta name="robots" content="index, follow">', '<META NAME="GoogleBot" CONTENT="NOINDEX">'),
    *('<meta name="robots" content="n&#111;ml">', '<meta name="description" content="noai">', '<meta name="robots">'),
    *('<link rel="license" href="/own">', f'<link rel="alternate License" href="{BY}">', f'<link href="{BY}">'),
]
BODIES = [
    *(IMAGE, BADGE, '<img src="b.png" alt="a cat"><img alt="nowhere">', MORE, '<a href="x">on</a>', "<p>text</p>"),
    *(f'<a href="{BY}">CC BY 4.0</a>', f'<a href="{BY_SA}deed.de">CC\n BY-SA</a>', f'<a href="{BY}">the text</a>'),
    *(f'<a href="{BY}"><img src="c.png" alt="x"> Creative&nbsp;Commons</a>', f'<a href="{BY}">{BADGE}</a>'),
    *(f'<a rel="license" href="{BY}">this</a>', '<a rel="nofollow license" href="/terms">terms</a>'),
    *(
        f'<a href=" {BY}">CC BY</a>',
        '<a href="HTTP://WWW.CREATIVECOMMONS.ORG/LICENSES/BY/4.0/">CC BY</a>',
        "<a>CC BY</a>",
    ),
]
HEADERS = [
    *(("X-Robots-Tag", "noml"), ("x-robots-tag", "gptbot: noai, noindex"), ("X-Robots-Tag", "all")),
    *(("TDM-Reservation", "1"), ("TDM-Reservation", "0"), ("Content-Usage", "train-ai=n"), ("Content-Usage", "x=y")),
]


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from(METAS), max_size=4),
    st.lists(st.sampled_from(BODIES), max_size=5),
    st.lists(st.sampled_from(HEADERS), max_size=3, unique_by=lambda header: header[0]),
)
def test_a_page_says_the_same_by_its_wat_and_its_warc(
    head: list[str], body: list[str], headers: list[tuple[str, str]]
) -> None:
    by_wat, by_warc = read_page(IMAGE + "".join(body), head="".join(head), headers=tuple(headers))
    assert by_wat
    assert by_wat == by_warc


def test_a_row_says_when_its_page_was_crawled_and_what_it_says_against_this_use() -> None:
    rows, _ = read_page(
        IMAGE,
        head='<meta name="robots" content="index, noindex"><meta name="tdm-reservation" content="1">',
        headers=(("X-Robots-Tag", "noml"), ("X-Robots-Tag", "googlebot: noindex, nofollow"), ("TDM-Reservation", "1")),
    )
    signals = [
        ("meta_robots", "robots: noindex"),
        ("meta_tdm_reservation", "1"),
        ("tdm_reservation_page", "1"),
        ("x_robots_tag_page", "googlebot: noindex"),
        ("x_robots_tag_page", "noml"),
    ]
    named = [{"signal": signal, "value": value} for signal, value in signals]
    assert rows == [[datetime(2026, 1, 5, 1, 2, 3), named, None, None]]  # in UTC


@pytest.mark.parametrize(
    ("date", "crawled_at"),
    [
        ("2024-05-19T06:20:00Z", datetime(2024, 5, 19, 6, 20)),
        ("2024-05-19T06:20:00.123456789Z", datetime(2024, 5, 19, 6, 20)),
        *((date, None) for date in ("2024-05-19", "2024-02-30T00:00:00Z", "9999999", "", "2024-05-19T06:20:00+02:00")),
    ],
)
def test_an_odd_date_is_none(date: str, crawled_at: datetime | None) -> None:
    described = content(URL, [{"url": "a.png", "alt": "x"}])
    described["Envelope"]["WARC-Header-Metadata"]["WARC-Date"] = date
    by_wat = wat_rows(member(wat_record(described, WARC_Date="2025-01-01T00:00:00Z")))
    by_warc = warc_rows(member(response(IMAGE.encode(), page=URL, WARC_Date=date)))
    assert [row["crawled_at"] for row in (*by_wat, *by_warc)] == [crawled_at, crawled_at]


def test_an_old_wat_whose_attributes_are_not_decoded_says_the_same() -> None:
    described = content(URL, [{"url": "a.png", "alt": "x"}], warc="CC-MAIN-20190519061520-20190519083520-00000.warc.gz")
    html = described["Envelope"]["Payload-Metadata"]["HTTP-Response-Metadata"]["HTML-Metadata"]
    html["Head"]["Metas"] = [{"content": "n&#111;ai", "name": "r&#111;bots"}]
    html["Links"].append({"path": "A@/href", "url": BY.replace("by/", "b&#121;/"), "text": "Creative&nbsp;Commons"})
    (row,) = wat_rows(member(wat_record(described)))
    assert row["page_signals"] == [{"signal": "meta_robots", "value": "robots: noai"}]
    assert (row["license"], row["license_evidence"]) == ("CC-BY-4.0", f"link {BY}")


def test_whatever_stands_where_a_declaration_does_costs_no_pair() -> None:
    odds: list[Any] = [None, 7, "x", [], [None, 7, "x", [], {}], {"name": 7}, [{"name": "robots", "content": ["noai"]}]]
    for odd in odds:
        described = content(URL, [{"url": "a.png", "alt": "x"}])
        metadata = described["Envelope"]["Payload-Metadata"]["HTTP-Response-Metadata"]
        metadata["HTML-Metadata"]["Head"] = {"Metas": odd, "Link": odd}
        metadata["Headers"] = odd if not isinstance(odd, dict) else {"X-Robots-Tag": [None, 7, "noml"]}
        described["Envelope"]["WARC-Header-Metadata"]["WARC-Date"] = odd
        (row,) = wat_rows(member(wat_record(described)))
        assert [signal["value"] for signal in row["page_signals"]] == (["noml"] if isinstance(odd, dict) else [])


# Licences: pages as people write them, and whether a licence is that of their images

NAMED = {
    "a footer": IMAGE + MORE + f'Content under <a href="{BY_SA}">CC BY-SA 4.0</a> <a href="/about">about</a>',
    "a footer in words": IMAGE + f'Licensed under <a href="{BY_SA}">Creative Commons Attribution-ShareAlike</a>.',
    "a footer with a badge": IMAGE + f'<a href="{BY_SA}">{BADGE.replace("/by/", "/by-sa/")}</a> <a href="/">home</a>',
    "the same licence twice": f'<a href="{BY_SA}">CC BY-SA</a>{IMAGE}{MORE}<a href="{BY_SA}">CC BY-SA</a>',
    "rel=license": f'<a rel="license" href="{BY_SA}">these terms</a>{IMAGE}{MORE}{IMAGE}',
    "rel=license beside others": f'<a rel="license" href="{BY_SA}">x</a>{IMAGE}{MORE}<a href="{BY}">CC BY</a>',
}  # fmt: skip
UNNAMED = {
    "an article about licences": f'{IMAGE}It is under <a href="{BY_SA}">CC BY-SA</a>, which ... {MORE}',
    "an article that links to a licence's text": f'{IMAGE}<a href="{BY_SA}legalcode">section 4</a> says',
    "a photo's caption": f'{IMAGE}Photo: A. N. Other, <a href="{BY_SA}">CC BY-SA 4.0</a><p>{IMAGE}',
    "a list of licences": f'{IMAGE}<a href="{BY}">CC BY</a>, <a href="{BY_SA}">CC BY-SA</a>',
    "a chooser of licences": IMAGE + f'<a href="{BY_SA}">CC BY-SA</a>' * 30,
    "two of rel=license": f'{IMAGE}<a rel="license" href="{BY_SA}">x</a><a rel="license" href="{BY}">y</a>',
    "terms of its own": f'{IMAGE}<a rel="license" href="/terms">terms</a> <a href="{BY_SA}">CC BY-SA</a>',
    "Creative Commons itself": f'{IMAGE}<a href="https://creativecommons.org/licenses/">Creative Commons</a>',
    "another site of that name": f'{IMAGE}<a href="https://creativecommons.org.h.example/licenses/by/4.0/">CC BY</a>',
    "no link at all": f"{IMAGE}Content under CC BY-SA 4.0",
}  # fmt: skip


@pytest.mark.parametrize("page", NAMED)
def test_a_page_that_names_one_licence_of_its_images_has_it(page: str) -> None:
    assert read_license(NAMED[page]) == "CC-BY-SA-4.0"


@pytest.mark.parametrize("page", UNNAMED)
def test_a_page_that_leaves_doubt_has_none(page: str) -> None:
    assert read_license(UNNAMED[page]) is None


def test_a_licence_in_the_head_counts_and_its_evidence_says_where() -> None:
    rows, _ = read_page(IMAGE, head='<link rel="license" href="https://www.apache.org/licenses/LICENSE-2.0">')
    assert rows[0][2:] == ["Apache-2.0", "rel=license https://www.apache.org/licenses/LICENSE-2.0"]


@pytest.mark.parametrize(
    ("url", "license_id"),
    [
        ("http://creativecommons.org/licenses/by/4.0", "CC-BY-4.0"),
        ("//www.creativecommons.org/licenses/by-nc-nd/2.0/deed.zh_TW", "CC-BY-NC-ND-2.0"),
        ("https://creativecommons.org/licenses/by/3.0/de/", "CC-BY-3.0-DE"),
        ("https://creativecommons.org/licenses/by/3.0/fr/legalcode", "CC-BY-3.0"),
        ("https://creativecommons.org/licenses/by-sa/2.1/jp/", "CC-BY-SA-2.1-JP"),
        ("https://creativecommons.org/licenses/by-sa/2.1/es/", None),
        ("https://creativecommons.org/licenses/by-nd-nc/1.0/", "CC-BY-NC-ND-1.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/deed.en", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/?ref=x#top", "CC-PDM-1.0"),
        ("https://creativecommons.org/licenses/by/9.0/", None),
        ("https://creativecommons.org/licenses/sampling/1.0/", None),
        ("https://creativecommons.org/licenses/by/4.0/and/more", None),
        ("ftp://creativecommons.org/licenses/by/4.0/", None),
        ("https://opensource.org/licenses/MIT", "MIT"),
        ("http://www.apache.org/licenses/LICENSE-2.0.html", "Apache-2.0"),
        ("https://h.example/apache.org/licenses/license-2.0", None),
        ("x" * 100_000, None),
    ],
)
def test_a_licence_is_known_by_its_address_in_all_its_spellings(url: str, license_id: str | None) -> None:
    assert identify_license(url) == license_id


def json_ld(text: str) -> str:
    return f'<script type="application/ld+json">{text}</script>'


def test_what_schema_org_says_of_an_image_counts_for_that_image_before_what_the_page_says() -> None:
    graph = (
        '{"@context": "https://schema.org", "@graph": [{"@type": "Article", "license": "https://h.example/x", "image":'
        f'[{{"@type": ["ImageObject"], "contentUrl": "../b.png", "license": {{"@id": "{BY}"}}}},'
        f'{{"@type": "ImageObject", "url": "/c.png", "acquireLicensePage": "{BY}", "license": "/own"}}]}}]}}'
    )
    body = '<img src="/b.png" alt="b"><img src="/c.png" alt="c"><img src="/d.png" alt="d">'
    by_wat, by_warc = read_page(f'{body}<a rel="license" href="{BY_SA}">x</a>{json_ld(graph)}')
    assert [row[2] for row in by_warc] == ["CC-BY-4.0", None, "CC-BY-SA-4.0"]
    assert by_warc[0][3] == f"schema.org {BY}"
    assert [row[2] for row in by_wat] == ["CC-BY-SA-4.0"] * 3  # which carries no JSON-LD


def test_two_licences_of_an_image_are_none_however_its_address_is_spelled() -> None:
    objects = [
        f'{{"@type": "ImageObject", "contentUrl": "{src}", "license": "{license_url}"}}'
        for src, license_url in (("/b.png", BY), ("../b.png", BY_SA), ("/c.png", BY), ("../c.png", BY))
    ]
    body = '<img src="/b.png" alt="b"><img src="/c.png" alt="c">'
    _, by_warc = read_page(f"{body}{json_ld('[' + ','.join(objects) + ']')}")
    assert [row[2] for row in by_warc] == [None, "CC-BY-4.0"]


IMAGE_OBJECT = f'{{"@type": "ImageObject", "contentUrl": "http://h.example/a.png", "license": "{BY}"}}'


@pytest.mark.parametrize(
    ("script", "license_id"),
    [
        (IMAGE_OBJECT, "CC-BY-4.0"),
        (f"[[{IMAGE_OBJECT}]]", "CC-BY-4.0"),
        (IMAGE_OBJECT.replace("ImageObject", "https://schema.org/ImageObject"), "CC-BY-4.0"),
        (f"[{IMAGE_OBJECT}, {IMAGE_OBJECT.replace('by/', 'by-sa/')}]", None),
        (IMAGE_OBJECT.replace("ImageObject", "Photograph"), None),
        (IMAGE_OBJECT[:-1], None),
        (IMAGE_OBJECT.replace(f'"{BY}"', "7"), None),
        (f"<!-- {IMAGE_OBJECT} -->", None),
        ("[" * 100_000, None),
        ("[" * 900 + IMAGE_OBJECT + "]" * 900, "CC-BY-4.0"),
        (f"[{IMAGE_OBJECT}, {'0,' * 600_000} 0]", None),
        ('{"@type": "ImageObject", "@graph": null, "license": [null, {}, []], "url": {"@id": 7}}', None),
        ("7", None),
        ("", None),
    ],
)
def test_any_json_ld_is_read_within_bounds(script: str, license_id: str | None) -> None:
    named = read_image_licenses([script])
    assert named.get("http://h.example/a.png", (None, None))[0] == license_id


def test_xhtml_says_the_same_as_html() -> None:
    body = f'{IMAGE[:-1]}/><p><a href="{BY}">CC <b>BY</b></a> {json_ld(IMAGE_OBJECT.replace("a.png", "b.png"))}</p>'
    head = '<html xmlns="http://www.w3.org/1999/xhtml"><head><meta name="robots" content="noml"/></head>'
    page = f"{head}<body>{body}</body></html>"
    kinds = ("text/html", "application/xhtml+xml")
    by_kind = [warc_rows(member(response(page.encode(), f"Content-Type: {kind}", page=URL))) for kind in kinds]
    assert by_kind[0] == by_kind[1]
    assert by_kind[0][0]["license"] == "CC-BY-4.0"
    assert by_kind[0][0]["page_signals"] == [{"signal": "meta_robots", "value": "robots: noml"}]
