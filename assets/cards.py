"""Write a data card for each subset: what balancing at t did to the distribution."""

import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from assets.automation import when_changed
from assets.defaults import DEFAULTS
from assets.keys import THRESHOLDS
from assets.partitions import all_rings, all_snapshots, thresholds
from assets.policies import AGENTS, ARCHIVES_READ, NO_ARCHIVES, NOT_READ, ROBOTS
from assets.pool import snapshots_of
from assets.queries.galleries import read_galleries
from assets.queries.parsers import check_columns
from assets.queries.provenance import describe_balance
from assets.queries.rungs import thresholds_of
from assets.shown import plots as show_plots
from assets.shown import show_pictures
from assets.tags import tag_run
from metaclip_dagster.balancing import count_sizes, parse_threshold, prepare_thresholds
from metaclip_dagster.reporting.cards.card import describe_subset, render_card
from metaclip_dagster.reporting.cards.counts import PairCounts, count_pairs, count_scores, count_subset
from metaclip_dagster.reporting.cards.opt_outs import OptOuts
from metaclip_dagster.reporting.cards.pictures import CardPictures, choose_entries, describe_pictures
from metaclip_dagster.reporting.cards.plots import CAPTIONS, plot_counts, plot_shares, plot_sizes
from metaclip_dagster.reporting.html.thumbnails import Pictures
from resources.deployments import command_line
from resources.engines.resource import round_floats
from resources.files.digests import combine
from resources.images.resource import Images
from resources.lake.costs import Cost, Observation, write_costs
from resources.lake.resource import Lake, MissingPartitionError
from resources.lake.tables import PartitionManifest
from resources.reports.resource import Reports

CURVE_POINTS = 60

NUM_SHOWN = 2
"""Pictures of an entry in the UI."""

AUTOMATION = "dagster/from_automation_condition"
"""Tag of a run that nobody started by hand."""


@dg.asset(
    partitions_def=thresholds,
    deps=[
        *("subsets", "entry_counts", "entries"),
        dg.AssetDep("opt_out_signals", partition_mapping=all_snapshots),
        dg.AssetDep("images", partition_mapping=all_rings),
    ],
    group_name="curation",
    kinds={"python", "html"},
    owners=["team:data"],
    automation_condition=when_changed(optional=["opt_out_signals"], by_hand=["images"]),
)
@tag_run
def data_cards(
    context: dg.AssetExecutionContext, lake: Lake, reports: Reports, image_store: Images
) -> dg.MaterializeResult:
    """What balancing at t did to the distribution: a page for people, and the same as JSON.

    Entries before and after, how many pairs each t keeps, what every stage dropped, and from which versions; pictures
    of what is kept and dropped, as far as their images were fetched.

    Next: open the card; where t suits, materialize `image_texts` and `images`, else try another t.
    """
    t, started = context.partition_key, time.process_time()
    version = _combine_versions(lake, t, reports.pictures)
    return _find_card(context, reports, version) or _make_card(lake, reports, image_store, t, version, started)


def _make_card(
    lake: Lake, reports: Reports, image_store: Images, t: str, version: str, started: float
) -> dg.MaterializeResult:
    """Write the card of D(t) and what it cost since `started`, in CPU seconds of this process."""
    card, plots = make_card(lake, t)
    pictures = read_galleries(lake, image_store.root, t, choose_entries(card))
    card |= {"pictures": describe_pictures(pictures)}
    links = reports.write(f"data_card_t_{t}", render_card(card, plots, pictures, reports.pictures), card)
    cost = Cost(cpu_seconds=time.process_time() - started)
    write_costs(Path(reports.root), f"data_card_t_{t}", Observation(1, card["pairs"]["pool"], cost))
    numbers = {
        "cpu_seconds": cost.cpu_seconds,
        "pairs_of_pool": card["pairs"]["pool"],
        "pairs": card["pairs"]["subset"],
        **_list_shares(card),
    }
    shown = {**links, "plots": show_plots(plots, CAPTIONS), **_show_galleries(pictures, reports.pictures)}
    return dg.MaterializeResult(metadata={**round_floats(numbers), **shown}, data_version=dg.DataVersion(version))


def read_card(reports: Reports, t: str) -> tuple[str, dict[str, Any]]:
    """The page and the data of the card of D(t); raises MissingPartitionError where it was never made."""
    try:
        return reports.read(f"data_card_t_{t}")
    except FileNotFoundError:
        raise MissingPartitionError(f"data_cards of {t} is not made yet; materialize it first") from None


def make_card(lake: Lake, t: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The data card of D(t) and its plots, from what the lake holds."""
    check_columns(lake, "subsets", t)
    subset = lake.manifest("subsets", t)
    snapshots = snapshots_of(subset)
    counts, entries = lake.read("entry_counts"), lake.read("entries")
    before = counts["entry_count"].to_numpy()
    after = count_subset(lake.stream("subsets", [t])(), len(entries))
    card = describe_subset(
        t=t,
        thresholds=thresholds_of(lake, t),
        entries=entries,
        entry_counts=counts,
        subset_counts=after,
        pool=PairCounts(
            count_pairs(lake.stream("admissions", snapshots)(), "language"),
            {key: lake.manifest("admissions", key).rows for key in snapshots},
        ),
        subset=PairCounts(*(count_pairs(lake.stream("subsets", [t])(), column) for column in ("language", "snapshot"))),
        stages=_count_stages(lake, snapshots, subset),
        opt_outs=_count_opt_outs(lake, snapshots),
        language_scores=count_scores(lake.stream("matches", snapshots)()),
        balanced_to=describe_balance(lake),
        licenses=count_pairs(lake.stream("subsets", [t])(), "license"),
        provenance={"snapshots": ", ".join(snapshots), **_list_versions(lake, snapshots[0], subset)},
        command=command_line(
            *("dagster", "asset", "materialize", "-f", "definitions.py"),
            *("--select", "subsets,data_cards", "--partition", t),
        ),
    )
    drawn = {"counts": plot_counts(before, after, t), "shares": plot_shares(before, after)}
    return card, drawn | {"sizes": _plot_sizes(lake, counts, snapshots)}


def _combine_versions(lake: Lake, t: str, mode: Pictures) -> str:
    """The version of all that a card is made of, and of how it shows pictures."""
    subset = lake.manifest("subsets", t)
    snapshots = snapshots_of(subset)
    whole = [lake.manifest(name).version for name in ("entries", "exclusions", "entry_counts")]
    drawn = [lake.manifest(name, key).version for name in ("pairs", "matches", "admissions") for key in snapshots]
    gathered = [lake.manifest("opt_out_signals", key) for key in lake.finished("opt_out_signals", snapshots)]
    of_robots = [manifest.inputs.get(name, "") for manifest in gathered for name in (ROBOTS, AGENTS, ARCHIVES_READ)]
    signals = [*(manifest.version for manifest in gathered), *of_robots]
    policy = lake.manifest("exclusions").inputs.get("chosen", "")
    pictured = [
        f"{table} {ring} {lake.manifest(table, ring).version}"
        for table in ("images", "image_scores")
        for ring in lake.finished(table, THRESHOLDS)
    ]
    return combine([subset.version, *whole, *drawn, *signals, policy, *pictured, mode])


def _find_card(context: dg.AssetExecutionContext, reports: Reports, version: str) -> dg.MaterializeResult | None:
    """The last card, if it is of this version, still there, and nobody asked for another.

    A person may make one between automation's look and its run.
    """
    page = Path(reports.root, f"data_card_t_{context.partition_key}.html")
    if AUTOMATION not in context.run.tags or not page.exists():  # a purge deletes it
        return None
    of_partition = dg.AssetRecordsFilter(asset_key=context.asset_key, asset_partitions=[context.partition_key])
    for record in context.instance.fetch_materializations(of_partition, limit=1).records:
        last = record.asset_materialization
        if last and (last.tags or {}).get("dagster/data_version") == version:
            context.log.info(f"the data card of t = {context.partition_key} is made of these versions already")
            return dg.MaterializeResult(metadata=last.metadata, data_version=dg.DataVersion(version))
    return None


def _show_galleries(pictures: CardPictures, mode: Pictures) -> dict[str, Any]:
    """A few pictures of each entry that the card shows, for the UI."""
    shown: dict[str, Any] = {}
    for side in ("kept", "dropped"):
        galleries = [(it.entry["entry"], getattr(it, f"of_{side}")[:NUM_SHOWN]) for it in pictures.entries]
        noted = [replace(picture, note=entry) for entry, gallery in galleries for picture in gallery]
        shown |= show_pictures(f"pictures_{side}", noted, mode) if noted else {}
    return shown


def _list_shares(card: dict[str, Any]) -> dict[str, float]:
    """What moves from refresh to refresh, for the UI to draw over time."""
    shares = {"kept_share": card["pairs"]["kept"]}
    shares |= {f"head_share_of_matches/{when}": card["entries"][f"head_{when}"] for when in ("before", "after")}
    return {name: share for name, share in shares.items() if share is not None}


def _count_stages(lake: Lake, snapshots: list[str], subset: PartitionManifest) -> list[dict[str, Any]]:
    """Rows that each stage gave and what it dropped, over the snapshots of the pool."""
    stages: list[dict[str, Any]] = []
    for table in ("pairs", "matches", "admissions"):
        manifests = [lake.manifest(table, key) for key in snapshots]
        stages.append({"stage": table, "rows": sum(manifest.rows for manifest in manifests)})
        for tally in ("dropped", "seen"):
            stages[-1][tally] = sum((manifest.total(tally) for manifest in manifests), Counter[str]())
    pool = stages[-1]["rows"]
    stages[-1]["dropped"] = Counter(count_pairs(lake.stream("exclusions")(), "reason"))
    return [*stages, {"stage": "subset", "rows": subset.rows, "dropped": {"balanced_away": pool - subset.rows}}]


def _count_opt_outs(lake: Lake, snapshots: list[str]) -> OptOuts:
    """What each signal is about among the matched pairs of the snapshots that have signals, and what is excluded."""
    gathered = lake.finished("opt_out_signals", snapshots)
    manifests = [lake.manifest("opt_out_signals", key) for key in gathered]
    chosen = json.loads(lake.manifest("exclusions").inputs.get("chosen", "{}"))
    read = {it.partition: it.inputs.get(ARCHIVES_READ, "") for it in manifests if it.inputs.get(ROBOTS) != NOT_READ}
    return OptOuts(
        pairs=sum((manifest.total("seen") for manifest in manifests), Counter[str]()),
        matched=sum(lake.manifest("matches", key).rows for key in gathered),
        not_gathered=[key for key in snapshots if key not in gathered],
        robots_not_read=[key for key in gathered if key not in read or read[key] == NO_ARCHIVES],
        robots_agents=sorted({agent for it in manifests for agent in it.inputs.get(AGENTS, "").split(",") if agent}),
        robots_in_part=[f"{key}, {part}" for key, part in read.items() if part not in ("", NO_ARCHIVES)],
        honoured=chosen.get("opt_outs", []),
        licenses=chosen.get("licenses", []),
        excluded=count_pairs(lake.stream("exclusions")(), "reason"),
    )


def _list_versions(lake: Lake, snapshot: str, subset: PartitionManifest) -> dict[str, str]:
    versions = {name: lake.manifest(name).version for name in ("entries", "exclusions", "entry_counts")}
    return {**versions, "subset": subset.version, "seed": lake.manifest("admissions", snapshot).inputs["seed"]}


def _plot_sizes(lake: Lake, counts: pa.Table, snapshots: list[str]) -> bytes:
    largest = max(2, int(counts["balanced_to"].to_numpy().max()))
    curve = [float(t) for t in np.geomspace(1, largest, CURVE_POINTS)]
    rungs = [parse_threshold(t) for t in THRESHOLDS]
    held_to = map(prepare_thresholds(counts, reference=DEFAULTS.reference_language), [*curve, *rungs])
    sizes = count_sizes(lake.stream("admissions", snapshots)(), [*held_to])
    return plot_sizes(curve, sizes[:CURVE_POINTS], dict(zip(THRESHOLDS, sizes[CURVE_POINTS:], strict=True)))
