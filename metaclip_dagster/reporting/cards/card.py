"""Put the data card of one t together: what balancing did to the distribution."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip_dagster.reporting.cards.counts import NUM_SCORE_BINS, PairCounts
from metaclip_dagster.reporting.cards.distribution import Distribution, group_rows
from metaclip_dagster.reporting.cards.entries import describe_entries
from metaclip_dagster.reporting.cards.opt_outs import OptOuts, describe_opt_outs
from metaclip_dagster.reporting.cards.pictures import CardPictures
from metaclip_dagster.reporting.cards.plots import CAPTIONS
from metaclip_dagster.reporting.html.numbers import share
from metaclip_dagster.reporting.html.pages import render
from metaclip_dagster.reporting.html.paper import NUM_ENTRIES
from metaclip_dagster.reporting.html.thumbnails import Pictures

Card = dict[str, Any]  # JSON, whose shape only `describe_subset` and the page know


def describe_subset(
    *,
    t: str,
    thresholds: Mapping[str, float],
    entries: pa.Table,
    entry_counts: pa.Table,
    subset_counts: npt.NDArray[np.uint64],
    pool: PairCounts,
    subset: PairCounts,
    stages: Sequence[Mapping[str, Any]] = (),
    language_scores: Mapping[str, Sequence[int]] | None = None,
    balanced_to: str = "the pool's own counts",
    licenses: Mapping[str, int] | None = None,
    opt_outs: OptOuts | None = None,
    provenance: Mapping[str, str] | None = None,
    command: str = "",
) -> Card:
    """The data card of D(t), as strict JSON: no NaN, no Infinity, null for a share of nothing.

    `thresholds` is each language's own t; `subset_counts` is from `count_subset`, `language_scores` from
    `count_scores`; `licenses` counts the subset's pairs by licence, "" where no page names one. Each of `stages`, in
    the order that pairs pass them, is {stage, rows, dropped, seen}: rows that came out, and numbers by reason.
    `balanced_to` says in words which counts were drawn with, `provenance` what made the subset (seed, versions), and
    `command` what makes it again, all shown as they are. An entry is in the head when the count it is balanced to is
    above its language's t (Xu et al. 2023, section 3.4). Raises ValueError where the inputs cannot be of one pool.
    """
    if not float(t) > 0:
        raise ValueError(f"t must be a positive number or inf, not {t!r}")
    distribution = Distribution.build(entries, entry_counts, subset_counts, thresholds)
    before, after = int(distribution.before.sum()), int(distribution.after.sum())
    return {
        "t": t,
        "balanced_to": balanced_to,
        "pairs": {"pool": pool.total, "subset": subset.total, "kept": share(subset.total, pool.total)},
        "matches": {
            "pool": before,
            "subset": after,
            "per_pair_pool": share(before, pool.total),
            "per_pair_subset": share(after, subset.total),
        },
        "stages": _describe_stages(stages),
        "languages": _describe_languages(distribution, thresholds, pool, subset),
        "snapshots": [
            {"snapshot": name, **_describe_pairs(pool.by_snapshot, subset.by_snapshot, name)}
            for name in sorted(pool.by_snapshot)
        ],
        "language_scores": _describe_scores(language_scores or {}),
        "licenses": [
            {"license": name, "pairs": number, "share": share(number, subset.total)}
            for name, number in _sort_numbers(licenses or {}).items()
        ],
        "opt_outs": describe_opt_outs(opt_outs or OptOuts()),
        **describe_entries(distribution, entries),
        "provenance": dict(provenance or {}),
        "command": command,
    }


def render_card(
    card: Mapping[str, Any],
    plots: Mapping[str, bytes],
    pictures: CardPictures | None = None,
    mode: Pictures = "shown",
) -> str:
    """The page of a card of `describe_subset`. `plots` are PNG by name (`counts`, `shares`, `sizes`)."""
    shown = {"pictures": pictures or CardPictures(), "mode": mode}
    return render("cards/card.html", card=card, plots=plots, captions=CAPTIONS, paper_entries=NUM_ENTRIES, **shown)


def _describe_stages(stages: Sequence[Mapping[str, Any]]) -> list[Card]:
    """Rows in are the rows the stage before gave, so that whatever no reason accounts for shows."""
    described: list[Card] = []
    for stage in stages:
        rows, dropped = int(stage["rows"]), _sort_numbers(stage.get("dropped") or {})
        rows_in = described[-1]["rows"] if described else rows + sum(dropped.values())
        described.append(
            {
                "stage": str(stage["stage"]),
                "rows_in": rows_in,
                "rows": rows,
                "kept": share(rows, rows_in),
                "dropped": dropped,
                "unaccounted": rows_in - rows - sum(dropped.values()),
                "seen": _sort_numbers(stage.get("seen") or {}),
            }
        )
    return described


def _sort_numbers(numbers: Mapping[str, int]) -> dict[str, int]:
    return {str(name): int(n) for name, n in sorted(numbers.items(), key=lambda item: (-item[1], item[0])) if n}


def _describe_languages(
    distribution: Distribution, thresholds: Mapping[str, float], pool: PairCounts, subset: PairCounts
) -> list[Card]:
    totals = {name: distribution.totals(rows) for name, rows in group_rows(distribution.table["language"]).items()}
    names = sorted({*totals, *pool.by_language}, key=lambda name: (-pool.by_language.get(name, 0), name))
    return [
        {
            "language": name,
            "t": _spell_t(thresholds[name]) if name in thresholds else None,
            **_describe_pairs(pool.by_language, subset.by_language, name),
            **totals.get(name, {}),
        }
        for name in names
    ]


def _describe_pairs(pool: Mapping[str, int], subset: Mapping[str, int], name: str) -> Card:
    in_pool, in_subset = pool.get(name, 0), subset.get(name, 0)
    return {"pool": in_pool, "subset": in_subset, "kept": share(in_subset, in_pool)}


def _spell_t(t: float) -> str:
    return str(int(t)) if float(t).is_integer() and t < 2**53 else repr(float(t))


def _describe_scores(by_language: Mapping[str, Sequence[int]]) -> Card:
    for language, counts in by_language.items():
        if len(counts) != NUM_SCORE_BINS:
            raise ValueError(
                f"language_scores of {language} has {len(counts)} numbers, not {NUM_SCORE_BINS}; make it with "
                "count_scores"
            )
    total = [sum(counts) for counts in zip(*by_language.values(), strict=True)]
    languages = [{"language": name, **_describe_sureness(counts)} for name, counts in by_language.items()]
    languages.sort(key=lambda row: (-row["pairs"], row["language"]))
    return {**_describe_sureness(total), "counts": [int(n) for n in total], "languages": languages}


def _describe_sureness(counts: Sequence[int]) -> Card:
    below = {name: sum(counts[: round(edge * NUM_SCORE_BINS)]) for name, edge in (("below_05", 0.5), ("below_08", 0.8))}
    total = sum(counts)
    return {"pairs": int(total), **{name: share(n, total) for name, n in below.items()}}
