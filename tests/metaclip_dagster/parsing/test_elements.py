"""XHTML is read by the rules of XML where it is well-formed, and all else as HTML."""

import pytest

from metaclip_dagster.parsing.elements import find_elements
from metaclip_dagster.parsing.responses import Markup
from tests.metaclip_dagster.archives import member, response, warc_rows

XMLNS = "xmlns='http://www.w3.org/1999/xhtml'"


def images(body: str, *, is_xml: bool = True) -> list[str | None]:
    text = f"<?xml version='1.0'?><!DOCTYPE html><html {XMLNS}>{body}</html>"
    return [image.get("alt") for image in find_elements(Markup(text, is_xml)).images]


@pytest.mark.parametrize("name", ["script", "style", "title", "textarea", "iframe", "noscript", "xmp", "div"])
def test_an_element_that_closes_itself_swallows_nothing(name: str) -> None:
    assert images(f"<{name} src='x'/><img src='a' alt='a dog'/>") == ["a dog"]


def test_text_rules_are_those_of_xml() -> None:
    assert images("<![CDATA[<img alt='no'/>]]><script>if (a &lt; b) '<img alt=\"in\"/>'</script>") == ["in"]
    assert images("<img alt='caf&eacute; &amp;amp; &#233;'/>") == ["café &amp; é"]
    assert images("<svg xmlns='http://www.w3.org/2000/svg'><img alt='no'/></svg>") == []
    assert images("<h:img xmlns:h='http://www.w3.org/1999/xhtml' alt='prefixed'/>") == ["prefixed"]


@pytest.mark.parametrize("fault", ["<p>", "<p a=b/>", "&unheardof;", "<b><i></b></i>", "<p a='1' a='2'/>", "a & b"])
def test_what_is_not_well_formed_is_read_as_html(fault: str) -> None:
    assert images(f"{fault}<img alt='a dog'/>") == ["a dog"] == images(f"{fault}<img alt='a dog'/>", is_xml=False)


def test_entities_of_a_page_do_not_unfold() -> None:
    bomb = "<!DOCTYPE html [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]><html><img alt='&b;'/></html>"
    assert [image.get("alt") for image in find_elements(Markup(bomb, is_xml=True)).images] == ["&b;"]


def test_what_a_page_says_of_all_its_elements_at_once_is_given_to_none() -> None:
    declared = "<!DOCTYPE html [<!ATTLIST img alt CDATA 'as large as the page'>]>"
    images = find_elements(Markup(f"{declared}<html><img src='a'/><img/></html>", is_xml=True)).images
    assert images == [{"src": "a"}, {}]


def test_the_first_base_with_an_address_counts_in_both() -> None:
    page = "<html><base target='x'/><base href='http://b/'/><base href='http://c/'/><img alt='x'/></html>"
    assert [find_elements(Markup(page, is_xml)).base for is_xml in (True, False)] == ["http://b/"] * 2


def test_the_content_type_says_which_it_is() -> None:
    page = f"<?xml version='1.0' encoding='iso-8859-2'?><html {XMLNS}><script/><img src='a' alt='żółw'/></html>"
    for content_type, texts in [("application/xhtml+xml", ["żółw"]), ("text/html", [])]:
        archive = member(response(page.encode("iso-8859-2"), f"Content-Type: {content_type}"))
        assert [row["text"] for row in warc_rows(archive)] == texts
