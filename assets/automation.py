"""Decide what runs by itself once switched on: new snapshots, and what follows from a change; never training."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
from dagster import AutomationCondition

from assets.partitions import snapshots
from resources.crawl.resource import CommonCrawl
from resources.deployments import Deployment

CURATED = (
    *("pairs", "robots_txt", "matches", "opt_out_signals", "exclusions"),
    *("entry_counts", "admissions", "subsets", "data_cards", "what_if"),
)

RELEASES = dg.FreshnessPolicy.time_window(warn_window=timedelta(days=45), fail_window=timedelta(days=90))
"""Common Crawl releases a snapshot about once a month, now and then a month or two late."""

MOST_AT_ONCE = 3
"""More new snapshots than this are a long pause or a changed list, and days of work: somebody is to choose."""


def when_registered() -> AutomationCondition:
    """Make what is missing of a snapshot that is registered after this was switched on."""
    return (AutomationCondition.on_missing() & ~AutomationCondition.in_progress()).with_label(
        "a snapshot was registered"
    )


def when_changed(*readers: str, optional: Sequence[str] = (), by_hand: Sequence[str] = ()) -> AutomationCondition:
    """Make a partition again when the content of something that it reads changed, once the whole of that is settled.

    Everything it reads must be there, up to date with what that reads in turn, passed by its checks and not being made;
    nor may one of `readers` be at work, which would then read two versions. What is `optional` need not be
    there; what is made `by_hand` may besides be outdated, refused or at work, for days: it is read as it is. So the
    stages of a change follow one another, each partition is made once, and what a stage leaves as it was moves nothing
    below it.
    """
    changed = AutomationCondition.any_deps_match(AutomationCondition.data_version_changed())
    # `entries` is made by hand: that one of its sources changed holds nothing up.
    outdated = _ignore(
        AutomationCondition.any_deps_match(changed.since(AutomationCondition.newly_updated())), ["entries", *by_hand]
    )
    refused = AutomationCondition.any_deps_match(
        AutomationCondition.any_checks_match(AutomationCondition.check_failed(), blocking_only=True)
    )
    missing = AutomationCondition.any_deps_match(AutomationCondition.missing())
    condition = (
        changed.since_last_handled().with_label("what it reads changed")
        & ~_ignore(missing, [*optional, *by_hand]).with_label("something it reads is missing")
        & ~outdated.with_label("something it reads is out of date")
        & ~_ignore(refused, by_hand).with_label("a check of what it reads failed")
        & ~_ignore(AutomationCondition.any_deps_in_progress(), by_hand)
        & ~AutomationCondition.in_progress()
    )
    for reader in readers:
        condition &= ~AutomationCondition.asset_matches(reader, AutomationCondition.in_progress()).with_label(
            f"{reader} is at work"
        )
    settled: AutomationCondition = condition.with_label("what it reads changed and is settled")
    return settled


def _ignore(any_deps: Any, names: Sequence[str]) -> Any:
    """The condition on any dependency, of a class that Dagster does not export, without those of these names."""
    return any_deps.ignore(dg.AssetSelection.assets(*names)) if names else any_deps


def sensors(where: Deployment) -> Sequence[dg.SensorDefinition]:
    """What looks for new snapshots, and what makes all that follows from a change."""
    new_snapshots = dg.sensor(
        name="new_snapshots",
        minimum_interval_seconds=where.refresh_seconds,
        description="Puts each snapshot that the crawl lists from now on into the pool, once, when its list of WAT "
        "files is there. The first tick notes the newest and registers nothing; older ones are registered by command, "
        f"and so are more than {MOST_AT_ONCE} that come at once.",
    )
    curation = dg.AutomationConditionSensorDefinition(
        "curation",
        target=dg.AssetSelection.assets(*CURATED),
        minimum_interval_seconds=where.automation_seconds,
        description="Makes everything from a new snapshot's pairs to the data cards and the what-if page, and remakes "
        "whatever a change of content reaches, each partition once. What was registered before this was first switched "
        "on is made by hand. Images and training are never started.",
    )
    return [new_snapshots(register_newer), curation]


def register_newer(context: dg.SensorEvaluationContext, common_crawl: CommonCrawl) -> dg.SensorResult | dg.SkipReason:
    """Register what the crawl lists above the baseline and has a path list; what is made of it is for others.

    The cursor keeps what was seen registered, so that a snapshot which somebody took out of the pool stays out.
    """
    try:
        listed = common_crawl.snapshots()
        if not context.cursor:
            return _set_baseline(listed, context.instance.get_dynamic_partitions("snapshot"))
        baseline, seen = (cursor := json.loads(context.cursor))["baseline"], set(cursor["seen"])
        if baseline not in listed:
            return dg.SkipReason(f"the crawl no longer lists {baseline}; reset the cursor to take a new baseline")
        registered = set(context.instance.get_dynamic_partitions("snapshot"))
        newer = [key for key in reversed(listed[: listed.index(baseline)]) if key not in seen | registered]
        ready = [key for key in newer if common_crawl.has_paths(key, "wat")]
    except Exception as error:  # whatever a file system or web client raises: a crawl out of reach is worth a line
        return dg.SkipReason(f"the crawl's list cannot be read, the next tick tries again: {error!r}")
    cursor_next = json.dumps({"baseline": baseline, "seen": sorted(seen | registered | set(ready))})
    if len(ready) > MOST_AT_ONCE:
        return dg.SkipReason(
            f"{len(ready)} snapshots are new, more than {MOST_AT_ONCE}: {', '.join(ready)}. Register those that you "
            "want (`metaclip register KEY ...`), then reset the cursor: the next tick goes on from "
            "the newest"
        )
    if ready:
        return dg.SensorResult(dynamic_partitions_requests=[snapshots.build_add_request(ready)], cursor=cursor_next)
    waiting = f"listed without a list of WAT files yet: {', '.join(newer)}" if newer else "nothing new"
    return dg.SensorResult(skip_reason=f"{waiting}; the newest is {listed[0]}", cursor=cursor_next)


def _set_baseline(listed: Sequence[str], registered: Sequence[str]) -> dg.SensorResult | dg.SkipReason:
    if not listed:
        return dg.SkipReason("the crawl lists no snapshot of this deployment yet")
    newest = listed[0]
    missing = f". {newest} itself is not in the pool: `metaclip register {newest}` puts it there"
    return dg.SensorResult(
        skip_reason=f"{newest} is the newest: what is listed after it will be registered"
        f"{'' if newest in registered else missing}",
        cursor=json.dumps({"baseline": listed[0], "seen": []}),
    )


@dg.schedule(
    cron_schedule="0 3 * * 1",
    target=dg.AssetSelection.assets("pairs"),
    description="Mondays at 3:00 UTC, reads the path list of the newest registered snapshot again and makes the pairs "
    "of files that are new or changed; the others are reused. What changed flows on if `curation` is on.",
)
def newest_again(context: dg.ScheduleEvaluationContext, common_crawl: CommonCrawl) -> dg.RunRequest | dg.SkipReason:
    """Rerun pairs of the newest registered snapshot, in the crawl's own order."""
    registered = set(context.instance.get_dynamic_partitions("snapshot"))
    try:
        newest = next((key for key in common_crawl.snapshots() if key in registered), None)
    except Exception as error:  # as above
        return dg.SkipReason(f"the crawl's list cannot be read, the next tick tries again: {error!r}")
    if newest is None:
        return dg.SkipReason("no snapshot that the crawl lists is registered")
    return dg.RunRequest(partition_key=newest)
