"""Laws of what is said of a dataset's parts: it names whose crawl it was, and when parts do not belong together."""

import pytest

from metaclip_dagster.publishing.sentences import (
    are_of_one_pool,
    describe_collection,
    describe_dataset,
    describe_limits,
    describe_stages,
)
from tests.metaclip_dagster.publishing.parts import make_part


@pytest.mark.parametrize(
    ("snapshots", "origin"),
    [
        (["CC-MAIN-2025-47"], "from Common Crawl"),
        (["SAMPLE-2026-01"], "from the offline sample of metaclip_dagster, a made-up crawl of drawings"),
        (["own-crawl"], "from a crawl of the web"),
        (["pool-laion"], "from sets that others made"),
        (["CC-MAIN-2025-47", "pool-laion"], "from Common Crawl and sets that others made"),
    ],
)
def test_it_says_whose_crawl_it_was(snapshots: list[str], origin: str) -> None:
    part = make_part("20", snapshots)
    assert f"{origin}, balanced" in describe_dataset([part])
    assert f"{origin}: {', '.join(snapshots)}." in describe_collection([part])


def test_the_period_is_that_of_all_parts() -> None:
    parts = [
        make_part("20", ["a"], ("2025-01-02", "2025-01-09")),
        make_part("100", ["b"], ("2025-01-01", "2025-01-05")),
    ]
    assert "crawled from 2025-01-01 to 2025-01-09;" in describe_collection([*parts, make_part("inf", ["a"])])


def test_parts_of_different_pools_are_said_to_be_so() -> None:
    parts = [make_part("20", ["a"], entry_counts="x"), make_part("100", ["a"], entry_counts="x")]
    assert are_of_one_pool(parts)
    other = [*parts, make_part("inf", ["a"], entry_counts="y")]
    assert not are_of_one_pool(other)
    assert [limit for limit in describe_limits(other) if limit not in describe_limits(parts)][:1] == [
        "75.0% of tinf is in one language (en)."
    ]
    assert any("different pools" in limit for limit in describe_limits(other))


def test_a_step_says_what_it_left_out() -> None:
    assert describe_stages(make_part("20", ["a"])) == [
        "12 pairs of an image and a text that its page has for it were read. Left out: no text 1,000.",
        "4 of these are kept by balancing at t = 20.",
    ]
