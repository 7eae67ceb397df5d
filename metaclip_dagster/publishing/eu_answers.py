"""Answer questions of the EU's summary of training content from what the lake knows of a subset."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metaclip_dagster.publishing.domains import Hosts
from metaclip_dagster.publishing.eu_facts import SummaryFacts
from metaclip_dagster.reporting.html.numbers import number, percent, share

Answer = dict[str, Any]
"""{answer: paragraphs, table: None or {headings, words, rows, code}}, as JSON."""

_IMAGE_BANDS = ((1_000_000, "Less than 1 million images"), (1_000_000_000, "1 million to 1 billion images"))
_TOKEN_BANDS = ((1_000_000_000, "Less than 1 billion tokens"), (10_000_000_000_000, "1 billion to 10 trillion tokens"))
_BYTES_A_TOKEN = 4


def answer_from_lake(facts: SummaryFacts) -> dict[str, Answer]:
    """The answers that follow from the lake alone, by key."""
    ends = [source.end for source in facts.sources if source.end]
    return {
        "made_from": _say(f"D({facts.t}), the subset that balancing at t = {facts.t} keeps: version {facts.version}."),
        **_fill_modalities(facts),
        "latest_acquisition": _say(
            f"{max(ends)}, the last day of the newest crawl." if ends else "The crawls' lists give no dates.",
            "Images are fetched after the crawl; their dates are not kept." if facts.user_agent else "",
        ),
        "languages": {
            **_say("Language of the text of each pair, as language identification names it."),
            "table": _list_counts("Language", "Pairs", facts.languages),
        },
        "other_characteristics": _say(
            "Pairs are kept whose text holds an entry of a list of words and phrases (from WordNet and Wikipedia, or "
            "lists of the provider's own), as in Xu et al. 2023, Demystifying CLIP Data. The list steers what is kept; "
            "nothing is trained on it.",
            "At t = inf no entry is thinned."
            if facts.t == "inf"
            else f"Pairs of entries that more than t = {facts.t} pairs match are thinned: frequent entries hold "
            f"{percent(facts.head_after)} of all matches, and not {percent(facts.head_before)} as before.",
        ),
        "public_datasets": _say(
            "Yes. The pairs come from the datasets below, which third parties compiled and made public. Modalities: "
            "text, and links to images."
        ),
        "large_public_datasets": {
            **_say(""),
            "table": _tabulate(
                ["Dataset", "Crawled from", "To", "Pairs", "Share"],
                [
                    [it.name, it.begin or "–", it.end or "–", it.pairs, share(it.pairs, facts.pairs)]
                    for it in facts.sources
                ],
                words=3,
            ),
        },
        **_fill_crawling(facts),
        **_fill_processing(facts),
    }


def _fill_modalities(facts: SummaryFacts) -> dict[str, Answer]:
    tokens = facts.text_bytes if facts.text_bytes < _TOKEN_BANDS[0][0] else facts.text_bytes // _BYTES_A_TOKEN
    how = "fewer tokens than bytes" if tokens == facts.text_bytes else f"estimated at {_BYTES_A_TOKEN} bytes a token"
    images = facts.images if facts.fetched is None else facts.fetched
    of_links = "counted by their links, for not all are fetched" if facts.fetched is None else "fetched and readable"
    return {
        "text": _say(
            f"{_choose_band(tokens, _TOKEN_BANDS, 'More than 10 trillion tokens')} ({how}): {number(facts.pairs)} "
            f"texts, {number(facts.text_bytes)} bytes in UTF-8.",
            "Short texts that web pages give for an image: alternative texts and titles. Their kinds (news, "
            "advertising and so on) are not told apart.",
        ),
        "image": _say(
            f"{_choose_band(images, _IMAGE_BANDS, 'More than 1 billion images')}: {number(images)}, {of_links}.",
            "Images on web pages: photographs, drawings, screenshots and others. Their kinds are not told apart.",
        ),
        "other_modalities": _say("None. This software collects images and texts alone."),
    }


def _fill_crawling(facts: SummaryFacts) -> dict[str, Answer]:
    if not facts.user_agent:
        used = "Not for this data: its images come with the crawl's own archives."
        name = behaviour = "No crawler was used."
    else:
        used = "Yes. Images were fetched by this software, on the provider's behalf, from where the pairs' links lead."
        name = facts.user_agent
        behaviour = (
            "Each link is asked for with GET, without cookies, at most a few at a time from one host; links on pages "
            "are not followed. Hosts that refuse or ask to wait are left alone. No password, paywall or captcha is got "
            "round. An image is left out whose response has TDM-Reservation: 1, Content-Usage with "
            "train-ai=n, or X-Robots-Tag with one of: "
            f"{', '.join(facts.opt_out_words)}."
        )
    return {
        "crawlers_used": _say(used),
        "crawler_names": _say(name),
        "crawler_behaviour": _say(behaviour),
        "crawled_content": _say("Images of the web pages of the crawl. Modality: image." if facts.user_agent else used),
        "domains": {
            **_say(
                _explain_hosts("Hosts of images", facts.image_hosts),
                _explain_hosts("Hosts of pages, for section 2.1", facts.pages),
                "The file of domains beside this summary lists all of them in this order. Domain names are hosts as "
                "links spell them: www.example.org and example.org are two. The tables here show the largest.",
            ),
            "table": _tabulate_hosts(facts),
        },
    }


def _fill_processing(facts: SummaryFacts) -> dict[str, Answer]:
    excluded = _dropped_at(facts, "admissions")
    opted_out = facts.images_dropped.get("opted_out", 0)
    signals = facts.signals or {}
    looked = (
        "Opt-out signals of pages, hosts and images were not looked for in the crawl."
        if facts.signals is None
        else "Opt-out signals that the crawl holds were counted for every pair of the pool; those that the "
        "deployment's policy names exclude it."
    )
    rows: list[list[Any]] = [
        [name, signals.get(name, 0), excluded.get(name, 0)]
        for name in sorted({*signals, *excluded} - {"duplicate", "taken_down"})
    ]
    others = {name: num for name, num in (facts.set_dropped or {}).items() if name.startswith(_FILTERS)}
    return {
        "reservations": {
            **_say(
                looked,
                f"{number(opted_out)} images were left out because the response to their fetch said so.",
                "Common Crawl says that its crawler, which fetched the pages, follows robots.txt."
                if any(source.name.startswith("CC-MAIN") for source in facts.sources)
                else "",
            ),
            "table": _tabulate(["Signal", "Pairs that have it", "Pairs left out for it"], rows) if rows else None,
        },
        "removals": {
            **_say(
                f"{number(excluded.get('taken_down', 0))} pairs of the crawls are left out for a demand to take them "
                "down, by address, domain, page or image.",
                "No training set of this t is made yet, so no filter of images was applied."
                if facts.set_dropped is None
                else f"Filters of images left out {number(sum(others.values()))} pairs.",
                "No list of known illegal content is part of this software.",
            ),
            "table": _list_counts("Filter", "Pairs left out", others) if others else None,
        },
        "processing": {
            **_say("What each step was given, what it left, and what it left out, by reason."),
            "table": _tabulate(["Step", "Left out for", "Number"], [*_list_drops(facts)], words=2),
        },
    }


_FILTERS = ("filtered_", "benchmark", "near_duplicate")


def _say(*paragraphs: str) -> Answer:
    return {"answer": [text for text in paragraphs if text]}


def _tabulate(headings: list[str], rows: list[list[Any]], *, words: int = 1, code: bool = False) -> Answer:
    return {"headings": headings, "words": words, "rows": rows, "code": code}


def _choose_band(size: int, bands: Sequence[tuple[int, str]], last: str) -> str:
    """The template's range that the size lies in.

    >>> _choose_band(1_000_000, _IMAGE_BANDS, "More than 1 billion images")
    '1 million to 1 billion images'
    """
    return next((name for least, name in bands if size < least), last)


def _list_counts(name: str, unit: str, counts: Mapping[str, int]) -> Answer:
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [[value, num, share(num, total)] for value, num in ranked]
    return _tabulate([name, unit, "Share"], rows)


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


def _explain_hosts(what: str, hosts: Hosts) -> str:
    without = f" Beside these, {number(hosts.num_without)} {hosts.unit} have no host." if hosts.num_without else ""
    top, of_small = percent(share(hosts.total_asked, hosts.total)), number(hosts.num_asked_of_small)
    return (
        f"{what}: {number(hosts.num)}, by {hosts.unit}. The top 10%, up to rank {number(hosts.num_asked)}, have "
        f"{top} of all {hosts.unit}. A small or medium-sized enterprise lists those up to rank {of_small}: 5%, at most "
        f"1,000.{without}"
    )


def _tabulate_hosts(facts: SummaryFacts) -> Answer:
    """The largest hosts of images, then of pages."""
    rows = [
        [host, f"{kind}, {hosts.unit}", num, share(num, hosts.total)]
        for kind, hosts in (("image", facts.image_hosts), ("page", facts.pages))
        for host, num in hosts.rows
    ]
    return _tabulate(["Domain name", "Of", "Number", "Share"], rows, words=2, code=True)
