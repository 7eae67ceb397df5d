"""List the questions of the EU's summary of training content, and who answers each: the lake or the provider."""

from collections.abc import Mapping
from dataclasses import dataclass

TEMPLATE = (
    "Template for the Public Summary of Training Content for general-purpose AI models, Article 53(1)(d) of "
    "Regulation (EU) 2024/1689 (AI Act): AI Office, 24 July 2025; communication C(2025) 8311 of 5 December 2025"
)


@dataclass(frozen=True)
class Question:
    """A question of the template."""

    text: str
    hint: str = ""
    """What a blank asks the provider for, where only the provider can answer; empty where the lake answers."""
    optional: bool = False


def _ask(text: str, hint: str, *, optional: bool = False) -> Question:
    return Question(text, hint, optional)


_COMMENTS = "Additional comments (optional)"

SECTIONS: Mapping[str, Mapping[str, Question]] = {
    "Version of the summary": {
        "summary_version": _ask("Version of the Summary", "a version, and a link to earlier ones"),
        "last_update": _ask("Last update", "a date; every six months at the latest, if content was added"),
        "made_from": Question("What this draft was filled from"),
    },
    "1.1. Provider identification": {
        "provider": _ask("Provider name and contact details", "name and contact"),
        "authorised_representative": _ask(
            "Authorised representative name and contact details", "if the provider is outside the Union"
        ),
    },
    "1.2. Model identification": {
        "model_names": _ask("Versioned model name(s)", "models on the market that this summary is about"),
        "model_dependencies": _ask(
            "Model dependencies", "the model that this one modifies, with a link to its summary, or none"
        ),
        "placement_date": _ask("Date of placement of the model on the Union market", "a date"),
    },
    "1.3. Modalities, overall training data size and other characteristics": {
        "text": Question("Modality text: training data size, types of content"),
        "image": Question("Modality image: training data size, types of content"),
        "other_modalities": Question("Modalities audio, video and other"),
        "latest_acquisition": Question("Latest date of data acquisition or collection for model training"),
        "languages": Question("Linguistic characteristics of the overall training data"),
        "other_characteristics": Question("Other relevant characteristics of the overall training data"),
        "comments_general": _ask(_COMMENTS, "images fetched later than the crawl, other data", optional=True),
    },
    "2.1. Publicly available datasets": {
        "public_datasets": Question("Have you used publicly available datasets to train the model?"),
        "large_public_datasets": Question("Large publicly available datasets"),
        "other_public_datasets": _ask(
            "General description of other publicly available datasets not listed above", "what else was trained on"
        ),
        "comments_public": _ask(_COMMENTS, "public datasets", optional=True),
    },
    "2.2. Private non-publicly available datasets obtained from third parties": {
        "licensed_datasets": _ask(
            "2.2.1. Have you concluded transactional commercial licensing agreements with rightsholders or with their "
            "representatives?",
            "yes or no, and modalities",
        ),
        "private_datasets": _ask(
            "2.2.2. Have you obtained private datasets from other third parties?",
            "yes or no, modalities, and those that are publicly known",
        ),
        "comments_private": _ask(_COMMENTS, "private datasets", optional=True),
    },
    "2.3. Data crawled and scraped from online sources": {
        "crawlers_used": Question("Were crawlers used by the provider or on its behalf?"),
        "crawler_names": Question("Crawler name(s) or identifier(s)"),
        "crawler_purposes": _ask("Purposes of the crawler(s)", "what the content was collected for"),
        "crawler_behaviour": Question("General description of crawler behaviour"),
        "crawl_period": _ask("Period of data collection", "first and last month in which images were fetched"),
        "crawled_content": Question("Type of content and online sources crawled, and modalities"),
        "domains": Question("Summary of the most relevant domain names crawled"),
        "comments_crawled": _ask(_COMMENTS, "crawling", optional=True),
    },
    "2.4. User data": {
        "user_interactions": _ask(
            "Was data from user interactions with the AI model used to train the model?", "yes or no"
        ),
        "user_services": _ask(
            "Was data collected from user interactions with the provider's other services or products used?",
            "yes or no, which services, and modalities",
        ),
    },
    "2.5. Synthetic data": {
        "synthetic_data": _ask(
            "Was synthetic AI-generated data created by the provider or on its behalf to train the model?",
            "yes or no, modalities, and the models that made it",
        ),
    },
    "2.6. Other sources of data": {
        "other_sources": _ask(
            "Have data sources other than those of sections 2.1 to 2.5 been used to train the model?",
            "yes or no, and which",
        ),
    },
    "3.1. Respect of reservation of rights from text and data mining exception or limitation": {
        "code_of_practice": _ask(
            "Are you a signatory to the Code of Practice for general-purpose AI models with its commitments to respect "
            "reservations of rights?",
            "yes or no",
        ),
        "reservations": Question("Measures before model training to respect reservations of rights"),
        "comments_reservations": _ask(_COMMENTS, "the copyright policy, other measures", optional=True),
    },
    "3.2. Removal of illegal content": {
        "removals": Question("Takedowns and filters that this software applied"),
        "illegal_content": _ask(
            "General description of measures taken to avoid or remove illegal content", "measures beside these"
        ),
    },
    "3.3. Other information (optional)": {
        "processing": Question("Other relevant information about data processing"),
        "comments_processing": _ask(_COMMENTS, "processing", optional=True),
    },
}
"""Sections in the template's order; each question by its key, that of publisher.yaml where the provider answers it."""

PROVIDER_QUESTIONS = {
    key: f"{title.split(maxsplit=1)[0]} {question.text}: {question.hint}"
    for title, questions in SECTIONS.items()
    for key, question in questions.items()
    if question.hint
}
"""The provider's questions by their keys in publisher.yaml."""
