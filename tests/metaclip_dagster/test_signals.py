"""Laws of the opt-out words that metas and headers carry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip_dagster.signals import (
    SIGNALS,
    read_content_usage,
    read_header_signals,
    read_meta_signals,
    read_robots_tag,
    read_robots_words,
    shorten_value,
)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("noai, noimageai", ["noai", "noimageai"]),
        ("NOINDEX;noml noindex", ["noindex", "noml"]),
        ("index, noindex", ["noindex"]),
        ("none", ["none"]),
        ("max-image-preview: none, max-snippet:-1", []),
        ("nofollow, noarchive, nosnippet, all, index, ainoai, noai-x", []),
        ("", []),
    ],
)
def test_only_words_against_this_use_count_and_nothing_takes_them_back(value: str, words: list[str]) -> None:
    assert read_robots_words(value) == words


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        ("noai", [("", ["noai"])]),
        ("*: noai", [("", ["noai"])]),
        ("googlebot: noindex, nofollow, otherbot: noml", [("googlebot", ["noindex"]), ("otherbot", ["noml"])]),
        ("unavailable_after: 25 Jun 2010 15:00:00 PST, noindex", [("", ["noindex"])]),
        ("max-image-preview:none, max-snippet: 0", []),
        ("googlebot: unavailable_after: Fri, 25 Jun 2010 15:00:00 GMT, noai", [("googlebot", ["noai"])]),
    ],
)
def test_a_header_asks_all_robots_or_the_bot_that_it_names(value: str, asked: list[tuple[str, list[str]]]) -> None:
    assert read_robots_tag(value) == asked


@pytest.mark.parametrize(
    ("value", "disallows"),
    [
        ("train-ai=n", True),
        ('train-ai=n;why="a, b", search=y', True),
        ("bots=n, train-ai=y", False),
        ("bots=y, train-ai=n", True),
        ("train-ai=n, train-ai=y", False),  # of a key that is repeated, the last one counts
        ('train-ai="n"', False),
        ("train-ai, bots=n", True),
        ("train-ai=n,", False),
        ("/path train-ai=n", False),
        ("search=n", False),
        ("a=(1 2;x);y, train-ai=n", True),
        ('a="' + "x" * 9000 + '", train-ai=n', False),
        ("", False),
    ],
)
def test_content_usage_is_a_dictionary_of_structured_fields(value: str, *, disallows: bool) -> None:
    assert read_content_usage(value) is disallows


def test_a_repeated_header_is_one_more_line_and_its_case_does_not_matter() -> None:
    headers = [
        ("x-robots-tag", "noml"),
        ("X-Robots-Tag", "gptbot: noai"),
        ("X-ROBOTS-TAG", "noml"),
        ("Content-Usage", "search=y"),
        ("content-usage", "train-ai=n"),
        ("tdm-reservation", " 1 "),
        ("Set-Cookie", "noai"),
    ]
    assert read_header_signals(headers, "image") == [
        {"signal": "content_usage_image", "value": "search=y, train-ai=n"},
        {"signal": "tdm_reservation_image", "value": "1"},
        {"signal": "x_robots_tag_image", "value": "gptbot: noai"},
        {"signal": "x_robots_tag_image", "value": "noml"},
    ]


@given(
    st.text()
    | st.lists(st.sampled_from(["noai", "train-ai", "=", "n", ",", ";", ":", '"', "(", " ", "a"])).map("".join)
)
def test_any_header_is_read_to_declared_signals_with_short_printable_values(value: str) -> None:
    headers = [(name, value) for name in ("X-Robots-Tag", "TDM-Reservation", "Content-Usage")]
    for signal in [*read_header_signals(headers, "page"), *read_meta_signals([(value, "noai")])]:
        assert signal["signal"] in SIGNALS
        assert len(signal["value"]) <= 200
        assert signal["value"].isprintable()


@pytest.mark.parametrize(
    "value", ["(" * 8000, "a=(" + "1 " * 4000, "a;" * 4000, '"\\' * 4000, ",:" * 4000, "a=" * 4000]
)
def test_hostile_headers_are_read_at_once(value: str) -> None:
    assert not read_header_signals([("Content-Usage", value), ("X-Robots-Tag", value)], "page")


def test_a_page_that_names_thousands_of_bots_has_ten_of_them() -> None:
    bots = [f"bot{number:04}" for number in range(5000)]
    expected = [f"{bot}: noai" for bot in bots[:10]]
    for signals in (
        read_meta_signals((bot, "noai") for bot in bots),
        read_header_signals((("X-Robots-Tag", f"{bot}: noai") for bot in bots), "page"),
    ):
        assert [signal["value"] for signal in signals] == expected


def test_values_are_one_line_without_what_cannot_be_printed() -> None:
    assert shorten_value("a\r\n b\0\u202e" + "c" * 300) == "a b " + "c" * 196
