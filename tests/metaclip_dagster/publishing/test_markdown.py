"""Laws of Markdown from untrusted text: it reads as text, and nothing else."""

import html
import re

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from metaclip_dagster.publishing.markdown import escape_markdown, write_code
from metaclip_dagster.reporting.html.text import reveal

PIECES = [
    "](javascript:x)",
    "[a",
    "---",
    "<script>",
    "`",
    "|",
    "\n",
    "    ",
    "# ",
    "1. ",
    "![",
    "&lt;",
    "\\",
    "$$",
    "*",
    "~~",
]
texts = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), min_size=1, max_size=8).map("".join)


def read_line(text: str) -> str:
    return reveal(" ".join(text.split()), 20_000)


@given(texts)
def test_escaped_text_reads_as_itself(text: str) -> None:
    rendered = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(f"a {escape_markdown(text)}")
    paragraph = re.fullmatch(r"<p>(.*)</p>\n", rendered, re.DOTALL)
    assert paragraph
    assert html.unescape(paragraph[1]) == f"a {read_line(text)}".rstrip()


@given(texts)
def test_nothing_begins_a_block(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(escape_markdown(text))
    assert [token.type for token in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"])


@given(texts)
def test_nothing_ends_a_code_span(text: str) -> None:
    [_, inline, _] = MarkdownIt("commonmark").parse(f"a {write_code(text)} z")
    assert [child.type for child in inline.children or []] in (["text", "code_inline", "text"], ["text"])
