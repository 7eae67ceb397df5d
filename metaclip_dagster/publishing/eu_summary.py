"""Put the EU's public summary of training content together: the lake's answers, the provider's, and blanks."""

from collections.abc import Mapping
from typing import Any

from metaclip_dagster.publishing.domains import Hosts
from metaclip_dagster.publishing.eu_answers import answer_from_lake
from metaclip_dagster.publishing.eu_facts import SummaryFacts
from metaclip_dagster.publishing.eu_template import SECTIONS, TEMPLATE
from metaclip_dagster.publishing.publisher import Publisher

Content = dict[str, Any]  # JSON, whose shape only this module and the three renderings of it know

NOTICE = (
    "This is a draft for the provider of a general-purpose AI model, and no legal advice. What the lake knows is "
    "filled in; what only the provider knows stands as a blank in square brackets. Whether the AI Act asks for a "
    "summary at all, under which of the template's headings a source belongs, and whether the answers suffice, is the "
    "provider's to decide."
)
OF_SAMPLE = "All of it is the offline sample of this software: a made-up crawl, with nothing of a real one in it."


def describe_summary(facts: SummaryFacts, answers: Mapping[str, str]) -> Content:
    """The summary as JSON: sections of questions, each with its answer and who gave it.

    `answers` are the provider's, by the keys of PROVIDER_QUESTIONS. A question is {key, question, source, answer,
    table}: its source is `filled`, `provider` or `blank`, its answer a list of paragraphs, its table None or {headings,
    words, rows, code}. The first `words` columns are text, others whole numbers, or shares from 0 to 1; with `code`,
    the first column comes of a crawl.
    """
    filled = answer_from_lake(facts)
    sections: list[Content] = []
    for title, questions in SECTIONS.items():
        rows: list[Content] = []
        for key, question in questions.items():
            row: Content = {"key": key, "question": question.text, "optional": question.optional, "table": None}
            if not question.hint:
                row |= {"source": "filled", **filled[key]}
            elif answer := answers.get(key, ""):
                row |= {"source": "provider", "answer": [part for part in answer.split("\n\n") if part.strip()]}
            else:
                asked = f"to be filled in by the provider: {question.hint}"
                row |= {"source": "blank", "answer": [f"[{'optional; ' if question.optional else ''}{asked}]"]}
            rows.append(row)
        sections.append({"title": title, "questions": rows})
    sources = [(row["source"], row["optional"]) for section in sections for row in section["questions"]]
    return {
        "t": facts.t,
        "title": f"Public summary of training content: image-text pairs balanced at t = {facts.t}",
        "template": TEMPLATE,
        "notice": f"{NOTICE} {OF_SAMPLE}" if facts.is_sample else NOTICE,
        "sections": sections,
        "num_filled": sources.count(("filled", False)),
        "num_answered": sum(source == "provider" for source, _ in sources),
        "num_blank": sources.count(("blank", False)),
        "pairs": facts.pairs,
        "images": facts.images,
        "domains": {"page": _describe_hosts(facts.pages), "image": _describe_hosts(facts.image_hosts)},
    }


def list_answers(publisher: Publisher) -> dict[str, str]:
    """The provider's answers; where none says who it is, the provider and contact at the top of publisher.yaml."""
    answers = dict(publisher.answers.get("eu_summary", {}))
    named = [publisher.provider, publisher.contact.email, publisher.contact.url]
    if "provider" not in answers and publisher.provider:
        answers["provider"] = ", ".join(filter(None, named))
    return answers


def _describe_hosts(hosts: Hosts) -> Content:
    return {
        "unit": hosts.unit,
        "num": hosts.num,
        "total": hosts.total,
        "num_of_top_10_percent": hosts.num_asked,
        "num_of_small_provider": hosts.num_asked_of_small,
        "num_without_host": hosts.num_without,
        "largest": [list(row) for row in hosts.rows],
    }
