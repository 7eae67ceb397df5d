"""Show what a training set or a ring of images goes without, and why: as a page, and as samples in the UI."""

from dataclasses import asdict, replace
from typing import Any

import dagster as dg

from assets.defaults import DEFAULTS
from assets.filters import Filtering
from assets.keys import rings_up_to, rung_of, verdicts_of
from assets.queries.left_out import read_failures, read_left_out
from assets.queries.mixtures import describe_mixture
from assets.shown import MAX_OF_URL, show_pictures, table
from metaclip_dagster.filters import name_reason
from metaclip_dagster.reporting.html.text import reveal
from metaclip_dagster.reporting.left_out.page import describe_left_out, render_left_out
from resources.images.resource import Images
from resources.lake.resource import Lake
from resources.reports.resource import Reports

NUM_SHOWN = 12


def report_left_out(
    lake: Lake, reports: Reports, image_store: Images, training_set: str, config: Filtering
) -> dict[str, Any]:
    """Write the page `training_set_<key>` of a set that was just made by this config; gives links and samples."""
    options = config.options
    left_out = read_left_out(
        lake,
        image_store.root,
        training_set,
        rings_up_to(rung_of(training_set)),
        limits={name_reason(name): _spell(of) for name, of in options["filters"].items()},
        distance=options["near_duplicate_distance"],
        verdicts=verdicts_of(training_set) if config.is_on else None,
        opt_outs=config.opt_outs,
    )
    sources = describe_mixture(lake.manifest("training_sets", training_set), DEFAULTS.pairs_to_see)
    left_out = replace(left_out, sources=[{**asdict(it), "times": it.times} for it in sources])
    page = render_left_out(left_out, reports.pictures)
    links = reports.write(f"training_set_{training_set}", page, describe_left_out(left_out))
    galleries = {
        "near_duplicates": [picture for group in left_out.groups for picture in (group.first, *group.copies)],
        "left_out": [picture for reason in left_out.filtered for picture in reason.pictures],
    }
    shown = [show_pictures(name, of[:NUM_SHOWN], reports.pictures) for name, of in galleries.items() if of]
    return {**links, **{name: value for gallery in shown for name, value in gallery.items()}}


def sample_failures(lake: Lake, ring: str) -> dict[str, dg.TableMetadataValue]:
    """Some images of the ring that could not be had, by reason; nothing where every one is there."""
    failures = read_failures(lake, ring)
    rows = [(why, it.text, reveal(it.url, MAX_OF_URL)) for why, images in failures.items() for it in images]
    return {"failed_sampled": table(["reason", "text", "url"], rows)} if rows else {}


def _spell(limits: dict[str, float | None]) -> str:
    return ", ".join(f"{name} {limit:g}" for name, limit in limits.items() if limit is not None)
