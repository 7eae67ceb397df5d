"""Answer what the EU's summary asks about processing: opt-outs, takedowns, filters, and what each step left out."""

from collections.abc import Iterable, Mapping
from typing import Any

from metaclip_dagster.publishing.eu_facts import SummaryFacts
from metaclip_dagster.publishing.eu_tables import Answer, list_counts, say, tabulate
from metaclip_dagster.reporting.html.numbers import number
from metaclip_dagster.signals import SIGNALS

_FILTERS = ("filtered_", "benchmark", "near_duplicate")


def answer_processing(facts: SummaryFacts) -> dict[str, Answer]:
    """The answers of section 3 that follow from the lake, by key."""
    excluded, set_dropped = _dropped_at(facts, "admissions"), facts.set_dropped or {}
    others = {name: num for name, num in set_dropped.items() if name.startswith(_FILTERS)}
    return {
        "reservations": _answer_reservations(facts),
        "removals": {
            **say(
                f"{number(excluded.get('taken_down', 0))} pairs of the crawls are left out for a demand to take them "
                "down, by address, domain, page or image. Those that a purge deleted before are no longer counted.",
                "No training set of this t is made yet, so no filter of images was applied."
                if facts.set_dropped is None
                else f"Filters of images left out {number(sum(others.values()))} pairs.",
                "No list of known illegal content is part of this software.",
            ),
            "table": list_counts("Filter", "Pairs left out", others) if others else None,
        },
        "processing": {
            **say("What each step kept, and what it left out, by reason."),
            "table": tabulate(["Step", "Left out for", "Number"], [*_list_drops(facts)], words=2),
        },
    }


def _answer_reservations(facts: SummaryFacts) -> Answer:
    """Which signals stand around the matched pairs, and what was left out for them, as the data card has it."""
    opt_outs, set_dropped = facts.opt_outs, facts.set_dropped or {}
    of_images = sum(num for name, num in set_dropped.items() if name in SIGNALS)
    rows = [[row["signal"], row["says"], row["pairs"], row["excluded"]] for row in opt_outs["signals"]]
    limits = {
        "Signals were not gathered for": opt_outs["not_gathered"],
        "robots.txt and tdmrep.json were not read for": opt_outs["robots_not_read"],
        "robots.txt was asked on behalf of": opt_outs["robots_agents"],
    }
    said = [
        "What pages and hosts say against a use like this was gathered from the crawl for "
        f"{number(opt_outs['matched'])} pairs whose text contains an entry, copies among them included.",
        *(f"{what} {', '.join(keys)}." for what, keys in limits.items() if keys),
        f"Pairs are left out for these signals: {', '.join(opt_outs['honoured'])}. A pair that several speak against "
        "is counted for the first."
        if opt_outs["honoured"]
        else "No pair is left out for a signal of its page or of a host.",
    ]
    return {
        **say(
            *(said if opt_outs["matched"] else ["Signals of pages and hosts were not gathered from the crawl."]),
            f"{number(facts.images_dropped.get('opted_out', 0))} images were left out because the response to their "
            f"fetch said so{'' if facts.fetched is not None else '; not all images are fetched yet'}."
            if facts.user_agent
            else "",
            f"The training set goes without {number(of_images)} pairs for what their images say of themselves."
            if of_images
            else "",
            "Common Crawl says that its crawler, which fetched the pages, follows robots.txt."
            if any(source.name.startswith("CC-MAIN") for source in facts.sources)
            else "",
        ),
        "table": tabulate(["Signal", "When it stands", "Pairs that have it", "Pairs left out for it"], rows, words=2)
        if rows
        else None,
    }


def _dropped_at(facts: SummaryFacts, stage: str) -> Mapping[str, int]:
    return next((it["dropped"] for it in facts.stages if it["stage"] == stage), {})


def _list_drops(facts: SummaryFacts) -> Iterable[list[Any]]:
    for stage in facts.stages:
        yield [stage["stage"], "(kept)", stage["rows"]]
        for reason, num in stage["dropped"].items():
            yield [stage["stage"], reason, num]
    for step, dropped in (("images", facts.images_dropped), ("training set, in pairs", facts.set_dropped or {})):
        for reason, num in sorted(dropped.items(), key=lambda item: (-item[1], item[0])):
            yield [step, reason, num]
