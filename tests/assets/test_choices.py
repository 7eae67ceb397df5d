"""What a run's config leaves out is as before, and what it may not say is refused before anything runs."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import Field, ValidationError

from assets.choices import AsBefore, Choice
from assets.coverage import Sampling
from assets.crawl import Crawl
from assets.curation import Balancing
from assets.entries import Budget
from assets.evaluation import Scoring
from assets.explain import Question
from assets.filters import Filtering
from assets.jobs import Training
from assets.metadata import Bigrams, NGrams, Titles, Unigrams, WordNet
from assets.pool import Exchange
from resources.engines.resource import Compute, RayCluster
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest


class Looks(dg.Config):
    """A config with a default that the deployment may change."""

    limit: int = Field(default=5, ge=1)
    lists: list[str] = []
    filters: dict[str, dict[str, float]] = {}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(root=str(tmp_path))


@pytest.fixture
def context() -> Iterator[dg.AssetExecutionContext]:
    @dg.asset
    def looked() -> None: ...

    with dg.build_asset_context() as built:
        yield built


def choose(context: dg.AssetExecutionContext, lake: Lake, **config: Any) -> Choice[Looks]:
    """What a run with this config is made with; its manifest is written, as an asset does."""
    choice: Choice[Looks] = AsBefore[Looks](**config).choose(context, lake, "looked")
    lake.store("looked").finish(PartitionManifest("looked", "all", "v", 0, (), inputs=choice.facts))
    return choice


def test_what_is_not_given_is_as_it_was_last_chosen(context: dg.AssetExecutionContext, lake: Lake) -> None:
    assert choose(context, lake).config == Looks()
    chosen = Looks(lists=["birds.ttl"], filters={"a": {"at_least": 0.5}})
    assert choose(context, lake, lists=["birds.ttl"], filters={"a": {"at_least": 0.5}}).config == chosen
    assert choose(context, lake).config == chosen
    assert choose(context, lake, limit=3).config == chosen.model_copy(update={"limit": 3})
    again = choose(context, lake)
    assert (again.config, again.changed) == (chosen.model_copy(update={"limit": 3}), ())
    assert again.metadata["chosen"] == ["filters", "limit", "lists"]


def test_dropping_a_choice_is_said(
    context: dg.AssetExecutionContext, lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    choose(context, lake, lists=["birds.ttl"], limit=3)
    dropped = choose(context, lake, lists=[])
    assert dropped.config == Looks(limit=3)
    assert dropped.metadata["changed_choices"] == ['lists was ["birds.ttl"] and is []']
    assert 'looked/all: lists was ["birds.ttl"] and is []' in capsys.readouterr().err


def test_a_default_that_nobody_chose_follows_the_deployment(
    context: dg.AssetExecutionContext, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(context, lake, lists=["a"])

    class Moved(Looks):
        limit: int = 9

    assert AsBefore[Moved]().choose(context, lake, "looked").config == Moved(lists=["a"])


def test_a_choice_of_before_that_is_refused_now_is_named(context: dg.AssetExecutionContext, lake: Lake) -> None:
    choose(context, lake, limit=3)

    class Stricter(Looks):
        limit: int = Field(default=5, ge=4)

    with pytest.raises(dg.Failure, match=r"looked/all: chosen before and refused now.*\n.*limit"):
        AsBefore[Stricter]().choose(context, lake, "looked")


@pytest.fixture
def siblings(lake: Lake) -> Iterator[Callable[..., Looks]]:
    """Makes partitions of one table; gives what a run was made with."""
    keys = dg.DynamicPartitionsDefinition(name="key")
    with dg.DagsterInstance.ephemeral() as instance:

        def make(key: str, **given: Any) -> Looks:
            used: list[Looks] = []

            @dg.asset(partitions_def=keys)
            def looked(context: dg.AssetExecutionContext) -> None:
                choice: Choice[Looks] = AsBefore[Looks](**given).choose(context, lake)
                lake.store("looked", key).finish(PartitionManifest("looked", key, "v", 0, (), inputs=choice.facts))
                used.append(choice.config)
                assert choice.changed == ()

            instance.add_dynamic_partitions("key", [key])
            dg.materialize([looked], instance=instance, partition_key=key)
            return used[0]

        yield make


def test_a_new_partition_takes_what_was_chosen_alike_for_every_other(
    siblings: Callable[..., Looks], lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.store("looked", "taken out").finish(PartitionManifest("looked", "taken out", "v", 0, ()))
    assert siblings("a", limit=7, lists=["x"]) == Looks(limit=7, lists=["x"])
    assert siblings("b", lists=["y"]) == Looks(limit=7, lists=["y"])
    assert siblings("c") == Looks(limit=7)
    assert 'looked/c: never made; as all other partitions are: {"limit": 7}' in capsys.readouterr().err
    assert siblings("d", limit=8) == Looks(limit=8)
    assert siblings("e") == Looks()
    assert siblings("a") == Looks(limit=7, lists=["x"])


def test_a_recipe_is_kept_as_what_is_given_of_it() -> None:
    given = AsBefore[Training].model_validate({"recipe": {"lr": 0.1}}).overrides
    assert given == {"recipe": {"lr": 0.1}}
    assert Training().model_dump()["recipe"] == {}


REFUSED: list[tuple[type[dg.Config], Mapping[str, Any]]] = [
    *((AsBefore[Filtering], {name: at}) for name in ("near_duplicate_distance", "leakage_distance") for at in (99, -2)),
    (AsBefore[Filtering], {"filters": {"a:b": {}}}),
    (AsBefore[Filtering], {"filters": {"a:b": {"above": 1.0}}}),
    (AsBefore[Filtering], {"filters": {"a:b": {"at_least": 2.0, "at_most": 1.0}}}),
    (AsBefore[Filtering], {"filters": {"a:b": {"at_least": float("nan")}}}),
    (AsBefore[Budget], {"budget": 0}),
    (AsBefore[Budget], {"languages": []}),
    (AsBefore[Budget], {"caps": {"wordnet_synsets": -1}}),
    (AsBefore[Training], {"pairs_to_see": 0}),
    (AsBefore[Balancing], {"seed": -1}),
    (AsBefore[WordNet], {"language": "English"}),
    (AsBefore[Unigrams], {"min_count": 0}),
    (AsBefore[Bigrams], {"min_pmi": float("nan")}),
    (AsBefore[Titles], {"top": -1}),
    (NGrams, {"num_buckets": 0}),
    (Exchange, {"num_buckets": 0}),
    (Exchange, {"group_size": 0}),
    (Crawl, {"share": 0.0}),
    (Crawl, {"share": 1.5}),
    (Crawl, {"first": -1}),
    (Crawl, {"max_broken_share": 2.0}),
    (Sampling, {"share": 0.0}),
    (Scoring, {"batch_size": 0}),
    (Question, {"limit": 0}),
    (RayCluster, {"address": "auto", "num_cpus": -1.0}),
]


@pytest.mark.parametrize(("config", "given"), REFUSED)
def test_a_value_out_of_its_range_is_refused_before_anything_runs(
    config: type[dg.Config], given: Mapping[str, Any]
) -> None:
    with pytest.raises(ValidationError, match=list(given)[-1]):
        config(**given)


def test_a_resource_out_of_its_range_is_refused_too(lake: Lake) -> None:
    with pytest.raises(ValidationError, match="max_failed_fraction"):
        Compute(lake=lake, max_failed_fraction=1.5)
