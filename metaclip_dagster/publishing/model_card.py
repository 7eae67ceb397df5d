"""Write the README.md of a model's repository: YAML for the Hugging Face Hub, and what the model is made of."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from metaclip_dagster.publishing.dataset_card import describe_license
from metaclip_dagster.publishing.markdown import Markdown, render_markdown
from metaclip_dagster.publishing.publisher import Publisher
from metaclip_dagster.publishing.questions import QUESTIONS
from metaclip_dagster.publishing.sentences import OPEN
from metaclip_dagster.reporting.sweeps.scores import name_metric
from metaclip_dagster.training.mixtures import SeenSource

TAGS = ["clip", "metaclip", "data-curation"]
_RETRIEVAL = "zero-shot-image-text-retrieval"


@dataclass(frozen=True)
class Score:
    """A score of the model, beside that of guessing, and those of the same recipe with other seeds."""

    task: str
    part: str
    metric: str
    score: float
    chance: float | None
    num_classes: int
    """Names to choose from; 0 for retrieval."""
    num_images: int
    mean: float
    spread: float | None
    """Sample standard deviation over the seeds; None of one seed."""
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class TrainingSet:
    """What the model was trained on, as it is in the lake."""

    pairs_of_subset: int
    pairs: int
    images: int
    dropped: Mapping[str, int]
    snapshots: tuple[str, ...]
    versions: Mapping[str, str]
    sources: Sequence[SeenSource] = ()
    """Of a mixture, as the model saw them."""
    filters: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Limits by filter, outside which it has nothing."""


@dataclass(frozen=True)
class ModelFacts:
    """What the lake knows of a trained model."""

    training_set: str
    model: str
    architecture: str
    seed: int
    sha256: str
    set_version: str
    recipe: Mapping[str, Any]
    budget: int
    pairs_seen: int
    loss: float
    transformers_problem: str
    """Why transformers cannot load it; empty where it can."""
    data: TrainingSet | None
    """None where the lake no longer has the version of the set that the model was trained on."""
    scores: Sequence[Score]
    notes: Mapping[str, str]
    """What tasks say of themselves, by task."""
    num_taken_down: int | None
    """Pairs of its set that were taken down since it was trained; None where nobody knows."""
    is_sample: bool


def render_model_card(facts: ModelFacts, publisher: Publisher) -> str:
    """The model's card. Raises ValueError for a name in publisher.yaml that is no repository's."""
    tasks = dict.fromkeys(score.task for score in facts.scores)
    return render_markdown(
        "model_card.md",
        front_matter=Markdown(f"---\n{write_front_matter(facts, publisher)}---\n"),
        facts=facts,
        publisher=publisher,
        answers={key: publisher.answer("model_card", key) for key in QUESTIONS["model_card"]},
        title=name_model(facts),
        t=facts.training_set.removeprefix("online-").partition("-")[0],
        is_online=facts.training_set.startswith("online-"),
        is_mixture=facts.training_set.startswith("mix-"),
        tasks=tasks,
        name_metric=name_metric,
        open=OPEN,
    )


def name_model(facts: ModelFacts) -> str:
    """What the model is called: architecture, set and seed."""
    return f"CLIP {facts.architecture} on {facts.training_set}, seed {facts.seed}"


def write_front_matter(facts: ModelFacts, publisher: Publisher) -> str:
    """The YAML between the card's dashes; scores stand in `model-index`, shares from 0 to 1."""
    dataset = publisher.answer("model_card", "dataset")
    if dataset and not re.fullmatch(r"[\w.-]+/[\w.-]+", dataset, re.ASCII):
        raise ValueError(f"publisher.yaml: model_card.dataset must be a repository's ORG/NAME, not {dataset!r:.100}")
    metadata: dict[str, Any] = {
        **describe_license(publisher.answer("model_card", "license")),
        "library_name": "open_clip",
        "pipeline_tag": "zero-shot-image-classification",
        **({"datasets": [dataset]} if dataset else {}),
        "tags": TAGS + ["sample"] * facts.is_sample,
    }
    if facts.scores:
        results = [*_list_results(facts)]
        metadata["model-index"] = [{"name": name_model(facts), "results": results}]
    return yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=110)


def _list_results(facts: ModelFacts) -> list[dict[str, Any]]:
    """A result a task: scores of the whole task, without `main`, which is one of the others."""
    results = []
    for task in dict.fromkeys(score.task for score in facts.scores):
        scores = [it for it in facts.scores if it.task == task and it.part == "all" and it.metric != "main"]
        kind = "zero-shot-image-classification" if any(score.num_classes for score in scores) else _RETRIEVAL
        metrics = [{"type": it.metric, "value": round(it.score, 6), "name": name_metric(it.metric)} for it in scores]
        if metrics:
            results.append({"task": {"type": kind}, "dataset": {"name": task, "type": task}, "metrics": metrics})
    return results
