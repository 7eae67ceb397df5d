"""One image, one URL: every spelling of it that browsers take for the same is the same here."""

import re

import ada_url
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metaclip_dagster import urls
from metaclip_dagster.urls import normalise_host, normalise_url

BASE = "https://h.example/a/b/c.html?q=/x"


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("i.png", "https://h.example/a/b/i.png"),
        ("./i.png", "https://h.example/a/b/i.png"),
        ("../i.png", "https://h.example/a/i.png"),
        ("../../../../i.png", "https://h.example/i.png"),
        ("/i.png", "https://h.example/i.png"),
        ("//cdn.example/i.png", "https://cdn.example/i.png"),
        ("x/i.png?w=1&h=2", "https://h.example/a/b/x/i.png?w=1&h=2"),
        ("?i", "https://h.example/a/b/c.html?i"),
        ("HTTP://H.Example/I.png", "http://h.example/I.png"),
        ("https://h.example", "https://h.example/"),
        ("https://h.example?x", "https://h.example/?x"),
        # what reaches no server, and what does
        ("https://h.example/i.png#top", "https://h.example/i.png"),
        ("i.png#", "https://h.example/a/b/i.png"),
        ("i.png#?w=1", "https://h.example/a/b/i.png"),
        ("/i.png?", "https://h.example/i.png?"),
        ("https://h.example/i.png?#", "https://h.example/i.png?"),
        # blanks and controls
        (" \n\x00i.png\t ", "https://h.example/a/b/i.png"),
        ("ht\ntps://h.example/i\t.png", "https://h.example/i.png"),
        ("i\x00.png", "https://h.example/a/b/i%00.png"),
        ("my image.png", "https://h.example/a/b/my%20image.png"),
        # slashes: as many as there are
        ("img\\i.png", "https://h.example/a/b/img/i.png"),
        ("i.png?a\\b", "https://h.example/a/b/i.png?a\\b"),
        ("img//i.png", "https://h.example/a/b/img//i.png"),
        ("..//i.png", "https://h.example/a//i.png"),
        ("///cdn.example/i.png", "https://cdn.example/i.png"),
        ("\\\\cdn.example\\i.png", "https://cdn.example/i.png"),
        ("http:///cdn.example/i.png", "http://cdn.example/i.png"),
        ("http:/cdn.example/i.png", "http://cdn.example/i.png"),
        ("http:cdn.example/i.png", "http://cdn.example/i.png"),
        ("https:i.png", "https://h.example/a/b/i.png"),
        ("https:/i.png", "https://h.example/i.png"),
        # dots
        ("https://h.example/a/../i.png", "https://h.example/i.png"),
        ("https://h.example/a/%2E%2e/i.png", "https://h.example/i.png"),
        ("https://h.example/a/.%2e/./i.png", "https://h.example/i.png"),
        ("https://h.example/a/..", "https://h.example/"),
        ("https://h.example/.a/..b/i.png", "https://h.example/.a/..b/i.png"),
        ("..;", "https://h.example/a/b/..;"),
        ("..;x/i.png", "https://h.example/a/b/..;x/i.png"),
        ("i;/j;?", "https://h.example/a/b/i;/j;?"),
        # escapes
        ("my%20image.png", "https://h.example/a/b/my%20image.png"),
        ("%e9.png?%zz", "https://h.example/a/b/%e9.png?%zz"),
        ("é.png?ü", "https://h.example/a/b/%C3%A9.png?%C3%BC"),
        ("\ud800.png", "https://h.example/a/b/%EF%BF%BD.png"),
        ("\"'<>`{|}^.png", "https://h.example/a/b/%22'%3C%3E%60%7B|%7D%5E.png"),
        ("i?\"'<>`{|}^", "https://h.example/a/b/i?%22%27%3C%3E`{|}^"),
        # ports
        ("https://h.example:8443/i.png", "https://h.example:8443/i.png"),
        ("https://h.example:443/i.png", "https://h.example/i.png"),
        ("http://h.example:80/i.png", "http://h.example/i.png"),
        ("https://h.example:80/i.png", "https://h.example:80/i.png"),
        ("https://h.example:/i.png", "https://h.example/i.png"),
        ("https://h.example:08080/i.png", "https://h.example:8080/i.png"),
        # hosts
        ("http://MÜNCHEN.example/i.png", "http://xn--mnchen-3ya.example/i.png"),
        ("http://straße.example/i.png", "http://xn--strae-oqa.example/i.png"),
        ("http://cdn。example/i.png", "http://cdn.example/i.png"),
        ("http://%63dn.example/i.png", "http://cdn.example/i.png"),
        ("http://h_1.example/i.png", "http://h_1.example/i.png"),
        ("http://h.example./i.png", "http://h.example./i.png"),
        ("http://[::1]/i.png", "http://[::1]/i.png"),
        ("http://[2001:DB8:0:0::7]/i.png", "http://[2001:db8::7]/i.png"),
        ("http://192.0.2.7/i.png", "http://192.0.2.7/i.png"),
        ("http://0xC0.0.519/i.png", "http://192.0.2.7/i.png"),
        ("http://3221225991/i.png", "http://192.0.2.7/i.png"),
        # a user stays, for the server may answer by it; the downloader asks for none such
        ("http://User:Pass@H.example/i.png", "http://User:Pass@h.example/i.png"),
        ("http://me@you:a/b@h.example/i.png", None),
        ("http://@h.example/i.png", "http://h.example/i.png"),
    ],
)
def test_an_image_has_the_url_that_browsers_ask_for(url: str, normal: str | None) -> None:
    assert normalise_url(url, BASE)[0] == normal
    without_page = normal and normal.replace("c.html", "")
    assert normalise_url(url, "https://h.example\\a/b\\?q=/x")[0] == without_page


@pytest.mark.parametrize(
    ("base", "normal"),
    [
        ("http://h.example//", "http://h.example//i.png"),
        ("http://h.example/a//b/c.html", "http://h.example/a//b/i.png"),
        ("http://h.example/a/./b/../c.html?x=/../y#/z/", "http://h.example/a/i.png"),
        ("http://H.example:80", "http://h.example/i.png"),
        ("http://me@h.example/x", "http://me@h.example/i.png"),
        ("http://bücher.example/a b/", "http://xn--bcher-kva.example/a%20b/i.png"),
    ],
)
def test_a_base_is_read_by_the_same_rule(base: str, normal: str) -> None:
    assert normalise_url("i.png", base) == (normal, None)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "no_url"),
        (" \n", "no_url"),
        ("x" * 8193, "long_url"),
        ("ä" * 2000, "long_url"),
        ("x" * 8180, "long_url"),
        ("data:image/png;base64," + "A" * 10_000, "data_url"),
        ("\nDaTa:,x", "data_url"),
        ("da\tta:,x", "data_url"),
        ("ftp://h.example/i.png", "other_scheme"),
        ("file:///etc/passwd", "other_scheme"),
        ("C:\\images\\i.png", "other_scheme"),
        ("about:blank", "other_scheme"),
        ("http://[::1/i.png", "bad_url"),
        ("http://[nonsense]/i.png", "bad_url"),
        ("http://h:port/i.png", "bad_url"),
        ("http://h:99999/i.png", "bad_url"),
        ("http://h h.example/i.png", "bad_url"),
        ("http://h\x00.example/i.png", "bad_url"),
        ("http://h%2Fexample/i.png", "bad_url"),
        ("http://192.0.2.256/i.png", "bad_url"),
        ("http://h.example.09/i.png", "bad_url"),
        ("http://\ud800/i.png", "bad_url"),
        ("http://", "bad_url"),
        ("https://#", "bad_url"),
        ("http://#", "bad_url"),
        ("http://?x", "bad_url"),
        ("//", "bad_url"),
        ("///", "bad_url"),
        ("//\\#/", "bad_url"),
    ],
)
def test_what_no_image_can_have_says_why(url: str, reason: str) -> None:
    assert normalise_url(url, BASE) == (None, reason)


def test_a_broken_base_spoils_what_is_relative_only() -> None:
    for base in ("http://[::1/", "not a url", "", "mailto:me@h.example", "\ud800"):
        assert normalise_url("https://h.example/i.png", base) == ("https://h.example/i.png", None)
        assert normalise_url("https:h.example/i.png", base) == ("https://h.example/i.png", None)
        assert normalise_url("i.png", base) == (None, "bad_url")
        assert normalise_url("//h.example/i.png", base) == (None, "bad_url")


def joined(*pieces: str, max_size: int) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(pieces), max_size=max_size).map("".join)


ODD = "/\\?#.:@%[]&;=ä \t\x00\ud800\"'<>`{|}^~-_aB0"
spellings = joined(*ODD, "..", "//", "http:", "https://", "xn--", "example", "data:", max_size=8)
schemes = st.sampled_from(["http://", "https://"])
hosts = joined(*"ab09-_.", ".a", "xn--", "1.2.3.4", "127", "256", "0x", ":80", ":443", ":8080", ":0", max_size=6)
paths = joined(*ODD, *"//??aaiz09", "/.", "/..", "/%2e", "/%2E%2e", "//", "%41", "i.png", "~+,!$*()", max_size=6)
odd_urls = st.tuples(schemes, hosts, st.sampled_from(["", "/"]), paths).map("".join)


@settings(max_examples=500)
@given(spellings | odd_urls, spellings | odd_urls)
@example("0", "https://\ud800")
@example("https://ä?", "")
@example("https://ä/a;", "http://x/")
@example("https://", "https://https://\\")
def test_a_normal_url_is_absolute_and_stays_as_it_is(url: str, base: str) -> None:
    for against in (BASE, base):
        normal, reason = normalise_url(url, against)
        assert (normal is None) == (reason is not None)
        if normal is not None:
            assert normal.startswith(("http://", "https://"))
            assert normal.isascii()
            assert "#" not in normal
            assert normalise_url(normal, BASE) == (normal, None)


@settings(max_examples=1000)
@given(odd_urls | paths, odd_urls.map(lambda base: base.replace("\ud800", "")))
@example("https://h.example/a/..?b", "http://h.example/")
@example("http://1.2.3.4/", "http://h/")
@example("http://a.0/", "http://h/")
@example("a//", "http://h//")
def test_the_short_cut_gives_what_the_parser_gives(url: str, base: str) -> None:
    spelled = re.sub("[\ud800-\udfff]", "\ufffd", url.strip("".join(map(chr, range(0x21)))))
    against = base if ada_url.check_url(base) else "about:blank"
    try:
        href = ada_url.join_url(against, spelled)
    except ValueError:
        href = ""
    expected = href.partition("#")[0] if spelled and href.startswith("http") else None
    assert normalise_url(url, base)[0] == expected


@pytest.mark.parametrize("url", ["i.png", "/a/b-c/i_1.png?w=1&h=2", "https://cdn.h.example/a/%C3%A9/i.png?w=1,2"])
def test_an_ordinary_url_costs_no_parsing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "ada_url", None)
    assert normalise_url(url, "https://www.h.example/a/b.html?c")[0]
    assert normalise_url(url, "http://192.0.2.7:8080/")[0]


def test_a_host_alone_is_spelled_as_in_urls() -> None:
    assert normalise_host("BÜCHER.Example.") == "xn--bcher-kva.example."
    for odd in ("h.example/x", "h.example:80", "me@h.example", "h.example?", "", "h h.example"):
        assert normalise_host(odd) == odd


@given(
    st.lists(st.sampled_from(["a", "b0", "xn--a", "1", "0x1", "-", "_", "256"]), min_size=1, max_size=4).map(".".join)
)
def test_a_plain_host_is_what_the_parser_makes_of_it(host: str) -> None:
    try:
        expected = ada_url.join_url("about:blank", f"http://{host}/")[len("http://") : -1]
    except ValueError:
        expected = host
    assert normalise_host(host) == expected
