"""What a model's card says of a mixture."""

from metaclip_dagster.publishing.model_card import ModelFacts, TrainingSet, render_model_card
from metaclip_dagster.publishing.publisher import Publisher
from metaclip_dagster.training.mixtures import describe_sources, parse_mixture


def test_a_card_has_each_source_with_its_t_its_weight_and_its_seen_pairs() -> None:
    crawl, ours = {"snapshots": ["CC-MAIN-*"], "t": "20"}, {"snapshots": ["pool-ours"], "t": "inf", "weight": 3}
    images = {"crawl": 7_000, "ours": 1_000}
    sources = describe_sources(parse_mixture({"crawl": crawl, "ours": ours}), images, images, budget=10_000)
    data = TrainingSet(8_000, 8_000, 8_000, {}, ("CC-MAIN-2025-47", "pool-ours", "pool-theirs"), {}, sources)
    facts = ModelFacts(
        "mix-ours", "tiny", "rn32s", 0, "0f", "1e", {}, 10_000, 10_000, 1.5, "", data, [], {}, 0, is_sample=False
    )
    page = render_model_card(facts, Publisher())
    assert "of several sources that are each balanced at a t of their own" in page
    assert "| crawl | CC-MAIN-\\* | 20 | weight 1 | 7,000 | 7,000 | 7,000 | 70.0% | 1 |" in page
    assert "| ours | pool-ours | inf | weight 3 | 1,000 | 1,000 | 3,000 | 30.0% | 3 |" in page
    assert "pool-theirs" not in page
