"""One image, one URL: every spelling of it that browsers take for the same is the same here."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metaclip_dagster.urls import normalise_url

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
        ("https://h.example:8443/i.png", "https://h.example:8443/i.png"),
        ("https://h.example/i.png#top", "https://h.example/i.png"),
        ("i.png#", "https://h.example/a/b/i.png"),
        (" \n\x00i.png\t ", "https://h.example/a/b/i.png"),
        ("ht\ntps://h.example/i\t.png", "https://h.example/i.png"),
        ("img\\i.png", "https://h.example/a/b/img/i.png"),
        ("/i.png?", "https://h.example/i.png?"),
        ("https://h.example/i.png?#", "https://h.example/i.png?"),
        ("https://é.example/i.png?", "https://é.example/i.png?"),
        ("i.png;", "https://h.example/a/b/i.png;"),
        ("i;/j;?", "https://h.example/a/b/i;/j;?"),
        ("i.png?a\\b", "https://h.example/a/b/i.png?a\\b"),
        ("my image.png", "https://h.example/a/b/my%20image.png"),
        ("my%20image.png", "https://h.example/a/b/my%20image.png"),
        ("é.png?ü", "https://h.example/a/b/%C3%A9.png?%C3%BC"),
        ("\ud800.png", "https://h.example/a/b/%EF%BF%BD.png"),
        ("http://MÜNCHEN.example/i.png", "http://münchen.example/i.png"),
        ("http://User:Pass@H.example/i.png", "http://User:Pass@h.example/i.png"),
        ("http://[::1]/i.png", "http://[::1]/i.png"),
        ("http://h_1.example/i.png", "http://h_1.example/i.png"),
    ],
)
def test_an_image_has_the_url_that_browsers_ask_for(url: str, normal: str) -> None:
    assert normalise_url(url, BASE) == (normal, None)
    assert normalise_url(url, "https://h.example\\a/b\\?q=/x") == (normal.replace("c.html", ""), None)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "no_url"),
        (" \n", "no_url"),
        ("x" * 8193, "long_url"),
        ("data:image/png;base64," + "A" * 10_000, "data_url"),
        ("\nDaTa:,x", "data_url"),
        ("ftp://h.example/i.png", "other_scheme"),
        ("file:///etc/passwd", "other_scheme"),
        ("C:\\images\\i.png", "other_scheme"),
        ("about:blank", "other_scheme"),
        ("http://[::1/i.png", "bad_url"),
        ("http://[nonsense]/i.png", "bad_url"),
        ("http://h:port/i.png", "bad_url"),
        ("http://h:99999/i.png", "bad_url"),
        ("http://h h.example/i.png", "bad_url"),
        ("http:///i.png", "bad_url"),
        ("http://", "bad_url"),
    ],
)
def test_what_no_image_can_have_says_why(url: str, reason: str) -> None:
    assert normalise_url(url, BASE) == (None, reason)


def test_a_broken_base_spoils_what_is_relative_only() -> None:
    for base in ("http://[::1/", "not a url", ""):
        assert normalise_url("https://h.example/i.png", base) == ("https://h.example/i.png", None)
        assert normalise_url("i.png", base)[0] is None


pieces = st.sampled_from([*"/\\?#.:@%[]&;=ä \t\ud800", "..", "//", "http:", "https://", "a", "B", "example", "data:"])
spellings = st.lists(pieces, max_size=8).map("".join) | st.text(alphabet=st.characters(codec=None), max_size=20)


@settings(max_examples=500)
@given(spellings, spellings)
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
            assert normal == normal.encode().decode()
            assert "#" not in normal
            assert normalise_url(normal, BASE) == (normal, None)


@settings(max_examples=300)
@given(st.from_regex(r"/?[a-z][a-z.%~+-]{0,6}(/[a-z][a-z.]{0,4}){0,2}(\?[a-z=&/.]{1,6})?", fullmatch=True), st.data())
def test_the_short_cut_for_simple_paths_gives_what_the_long_way_gives(url: str, data: st.DataObject) -> None:
    base = data.draw(
        st.from_regex(r"https?://[a-z]{1,5}(:8080)?/([a-z.]{1,4}/){0,2}[a-z.]{0,3}(\?[a-z/.]{0,4})?", fullmatch=True)
    )
    assert normalise_url(url, base) == normalise_url(f"{url}#fragment", base)
