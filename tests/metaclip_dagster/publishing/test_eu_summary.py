"""Laws of the EU's summary: no question is lost in any form, nothing is invented, and what a crawl gave stays text."""

import dataclasses
import io
import re
import zipfile
from typing import Any

import pytest
from docx import Document

from metaclip_dagster.publishing.domains import Hosts
from metaclip_dagster.publishing.eu_documents import write_docx, write_markdown
from metaclip_dagster.publishing.eu_facts import Source, SummaryFacts
from metaclip_dagster.publishing.eu_summary import Content, describe_summary, list_answers
from metaclip_dagster.publishing.eu_template import PROVIDER_QUESTIONS, SECTIONS
from metaclip_dagster.publishing.publisher import Person, Publisher
from metaclip_dagster.reporting.cards.opt_outs import OptOuts, describe_opt_outs
from metaclip_dagster.reporting.summaries.pages import render_summary

HOSTS = Hosts("pairs", 20, 100, 2, 60, 1, (("www.a.example", 50), ("b.example", 10)), 3)
DROPPED = {"duplicate": 7, "robots_txt_page": 5, "taken_down": 3, "license": 4}
GATHERED = OptOuts(
    {"robots_txt_page": 11, "meta_robots": 2, "any": 12},
    matched=1_900,
    not_gathered=["pool-cc12m"],
    honoured=["robots_txt_page"],
    excluded=DROPPED,
)
FACTS = SummaryFacts(
    t="20",
    is_sample=False,
    version="0123",
    pairs=100,
    images=90,
    fetched=None,
    text_bytes=4_000,
    languages={"en": 70, "de": 30},
    sources=[Source("CC-MAIN-2026-05", "2026-01-05", "2026-01-19", 60), Source("pool-cc12m", "", "", 40)],
    head_before=0.9,
    head_after=0.5,
    stages=[{"stage": "admissions", "rows": 200, "dropped": DROPPED}],
    images_dropped={"opted_out": 4},
    set_dropped=None,
    opt_outs=describe_opt_outs(GATHERED),
    user_agent="metaclip_dagster/1",
    opt_out_words=["noai"],
    pages=HOSTS,
    image_hosts=HOSTS,
)
EVIL = '=HYPERLINK("http://x")\n[a](javascript:b) <script>alert(1)</script> | `c` \x0b\u202e www.evil.example'


def questions(content: Content) -> dict[str, Any]:
    return {question["key"]: question for section in content["sections"] for question in section["questions"]}


def text_of_docx(content: Content) -> str:
    document = Document(io.BytesIO(write_docx(content)))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return "\n".join([*(paragraph.text for paragraph in document.paragraphs), *cells])


def plain(markdown: str) -> str:
    return re.sub(r"\\(.)", r"\1", markdown)


def test_every_question_stands_in_all_three_forms_in_the_templates_order() -> None:
    content = describe_summary(FACTS, {})
    texts = [question.text for of_section in SECTIONS.values() for question in of_section.values()]
    page = render_summary(content).replace("&#39;", "'")
    for form in (page, plain(write_markdown(content)), text_of_docx(content)):
        at = [form.index(title) for title in SECTIONS]
        assert at == sorted(at)
        assert not [text for text in texts if text not in form]


def test_what_nobody_has_said_is_a_blank_that_names_what_belongs_there() -> None:
    content = describe_summary(FACTS, {})
    blank = {key for key, question in questions(content).items() if question["source"] == "blank"}
    assert blank == set(PROVIDER_QUESTIONS)
    assert questions(content)["placement_date"]["answer"] == ["[to be filled in by the provider: a date]"]
    assert plain(write_markdown(content)).count("to be filled in by the provider") == len(blank)
    runs = [run for paragraph in Document(io.BytesIO(write_docx(content))).paragraphs for run in paragraph.runs]
    assert sum(run.font.highlight_color is not None for run in runs) == len(blank)


def test_an_answer_takes_the_place_of_its_blank_alone() -> None:
    before, after = (describe_summary(FACTS, answers) for answers in ({}, {"user_interactions": "No.\n\nNever."}))
    assert questions(after)["user_interactions"]["answer"] == ["No.", "Never."]
    assert (after["num_answered"], after["num_blank"]) == (1, before["num_blank"] - 1)
    others = [{k: v for k, v in questions(it).items() if k != "user_interactions"} for it in (before, after)]
    assert others[0] == others[1]


def test_who_the_provider_is_need_not_be_said_twice() -> None:
    named = Publisher(provider="A. Lab", contact=Person("x", "a@lab.example", ""))
    assert list_answers(named) == {"provider": "A. Lab, a@lab.example"}
    said = dataclasses.replace(named, answers={"eu_summary": {"provider": "B", "last_update": "2026-11-30"}})
    assert list_answers(said) == {"provider": "B", "last_update": "2026-11-30"}
    assert list_answers(Publisher(contact=Person("x", "a@lab.example", ""))) == {}


def test_opt_outs_and_takedowns_are_the_numbers_of_the_lake() -> None:
    filled = questions(describe_summary(FACTS, {}))
    rows = filled["reservations"]["table"]["rows"]
    assert [(row[0], *row[2:]) for row in rows] == [("robots_txt_page", 11, 5), ("meta_robots", 2, 0)]
    says = " ".join(filled["reservations"]["answer"])
    assert "gathered from the crawl for 1,900 pairs" in says
    assert "not gathered for pool-cc12m." in says
    assert "left out for these signals: robots_txt_page." in says
    assert "4 images were left out" in says
    assert "3 pairs of the crawls are left out" in filled["removals"]["answer"][0]
    unlooked = questions(describe_summary(dataclasses.replace(FACTS, opt_outs=describe_opt_outs(OptOuts())), {}))
    assert "were not gathered from the crawl" in unlooked["reservations"]["answer"][0]
    assert unlooked["reservations"]["table"] is None
    assert filled["large_public_datasets"]["table"]["rows"][1] == ["pool-cc12m", "–", "–", 40, 0.4]


@pytest.mark.parametrize(
    ("images", "text_bytes", "says"),
    [
        (999_999, 999_999_999, ["Less than 1 million images", "Less than 1 billion tokens (fewer tokens than bytes)"]),
        (1_000_000, 4_000_000_000, ["1 million to 1 billion images", "1 billion to 10 trillion tokens (estimated"]),
        (10**9, 5 * 10**13, ["More than 1 billion images", "More than 10 trillion tokens"]),
    ],
)
def test_sizes_are_given_in_the_templates_ranges(images: int, text_bytes: int, says: list[str]) -> None:
    facts = dataclasses.replace(FACTS, images=images, text_bytes=text_bytes)
    filled = questions(describe_summary(facts, {}))
    assert [filled[key]["answer"][0].startswith(text) for key, text in zip(("image", "text"), says, strict=True)] == [
        True,
        True,
    ]


def test_nothing_in_a_name_or_an_answer_becomes_markup_a_link_or_a_field() -> None:
    hosts = dataclasses.replace(HOSTS, rows=((EVIL, 1),))
    facts = dataclasses.replace(FACTS, pages=hosts, languages={EVIL: 1}, sources=[Source(EVIL, "", "", 1)])
    content = describe_summary(facts, {"provider": EVIL})
    page, markdown = render_summary(content), write_markdown(content)
    assert "<script" not in page.lower()
    assert "<a href=" not in page.replace('<a href="#', "")
    assert "\u202e" not in page + markdown
    outside = re.sub(r"(`+).*?\1", "", markdown)
    assert not re.search(r"(?<!\\)<script|(?<!\\)\]\(|(?<!\\)\]\\\(|www\.evil", outside)
    with zipfile.ZipFile(io.BytesIO(write_docx(content))) as parts:
        document, relations = parts.read("word/document.xml"), parts.read("word/_rels/document.xml.rels")
    assert b"<script" not in document
    assert b"HYPERLINK" in document  # as text
    assert not re.search(rb"<w:(hyperlink|instrText|fldSimple)", document)
    assert b"External" not in relations


def test_a_summary_of_the_sample_says_so() -> None:
    content = describe_summary(dataclasses.replace(FACTS, is_sample=True), {})
    for form in (render_summary(content), plain(write_markdown(content)), text_of_docx(content)):
        assert "the offline sample of this software" in form
