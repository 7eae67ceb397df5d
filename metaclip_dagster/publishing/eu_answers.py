"""Answer questions of the EU's summary of training content from what the lake knows of a subset."""

from collections.abc import Sequence

from metaclip_dagster.publishing.domains import Hosts
from metaclip_dagster.publishing.eu_facts import SummaryFacts
from metaclip_dagster.publishing.eu_processing import answer_processing
from metaclip_dagster.publishing.eu_tables import Answer, list_counts, say, tabulate
from metaclip_dagster.reporting.html.numbers import number, percent, share

_IMAGE_BANDS = ((1_000_000, "Less than 1 million images"), (1_000_000_000, "1 million to 1 billion images"))
_TOKEN_BANDS = ((1_000_000_000, "Less than 1 billion tokens"), (10_000_000_000_000, "1 billion to 10 trillion tokens"))
_BYTES_A_TOKEN = 4


def answer_from_lake(facts: SummaryFacts) -> dict[str, Answer]:
    """The answers that follow from the lake alone, by key."""
    ends = [source.end for source in facts.sources if source.end]
    return {
        "made_from": say(f"D({facts.t}), the subset that balancing at t = {facts.t} keeps: version {facts.version}."),
        **_fill_modalities(facts),
        "latest_acquisition": say(
            f"{max(ends)}, the last day of the newest crawl." if ends else "The crawls' lists give no dates.",
            "Images are fetched after the crawl; their dates are not kept." if facts.user_agent else "",
        ),
        "languages": {
            **say("Language of the text of each pair, as language identification names it."),
            "table": list_counts("Language", "Pairs", facts.languages),
        },
        "other_characteristics": say(
            "Pairs are kept whose text holds an entry of a list of words and phrases (from WordNet and Wikipedia, or "
            "lists of the provider's own), as in Xu et al. 2023, Demystifying CLIP Data. The list steers what is kept; "
            "nothing is trained on it.",
            "At t = inf no entry is thinned."
            if facts.t == "inf"
            else f"Pairs of entries that more than t = {facts.t} pairs match are thinned: such entries have "
            f"{percent(facts.head_before)} of all matches before, and {percent(facts.head_after)} after.",
        ),
        "public_datasets": say(
            "Yes. The pairs come from the datasets below, which third parties compiled and made public. Modalities: "
            "text, and links to images."
        ),
        "large_public_datasets": {
            **say(""),
            "table": tabulate(
                ["Dataset", "Crawled from", "To", "Pairs", "Share"],
                [
                    [it.name, it.begin or "–", it.end or "–", it.pairs, share(it.pairs, facts.pairs)]
                    for it in facts.sources
                ],
                words=3,
            ),
        },
        **_fill_crawling(facts),
        **answer_processing(facts),
    }


def _fill_modalities(facts: SummaryFacts) -> dict[str, Answer]:
    tokens = facts.text_bytes if facts.text_bytes < _TOKEN_BANDS[0][0] else facts.text_bytes // _BYTES_A_TOKEN
    how = "fewer tokens than bytes" if tokens == facts.text_bytes else f"estimated at {_BYTES_A_TOKEN} bytes a token"
    images = facts.images if facts.fetched is None else facts.fetched
    of_links = "counted by their links, for not all are fetched" if facts.fetched is None else "fetched and readable"
    return {
        "text": say(
            f"{_choose_band(tokens, _TOKEN_BANDS, 'More than 10 trillion tokens')} ({how}): {number(facts.pairs)} "
            f"texts, {number(facts.text_bytes)} bytes in UTF-8.",
            "Short texts that web pages give for an image: alternative texts and titles. Their kinds (news, "
            "advertising and so on) are not told apart.",
        ),
        "image": say(
            f"{_choose_band(images, _IMAGE_BANDS, 'More than 1 billion images')}: {number(images)}, {of_links}.",
            "Images on web pages: photographs, drawings, screenshots and others. Their kinds are not told apart.",
        ),
        "other_modalities": say("None. This software collects images and texts alone."),
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
            "round. "
            + (
                "An image is left out whose response has TDM-Reservation: 1, Content-Usage that disallows training, "
                f"or X-Robots-Tag with one of: {', '.join(facts.opt_out_words)}."
                if facts.opt_out_words
                else "Headers of responses keep no image out."
            )
        )
    return {
        "crawlers_used": say(used),
        "crawler_names": say(name),
        "crawler_behaviour": say(behaviour),
        "crawled_content": say("Images of the web pages of the crawl. Modality: image." if facts.user_agent else used),
        "domains": {
            **say(
                _explain_hosts("Hosts of images", facts.image_hosts),
                _explain_hosts("Hosts of pages, for section 2.1", facts.pages),
                "The file of domains beside this summary lists all of them in this order. Domain names are hosts as "
                "links spell them: www.example.org and example.org are two. The tables here show the largest.",
            ),
            "table": _tabulate_hosts(facts),
        },
    }


def _choose_band(size: int, bands: Sequence[tuple[int, str]], last: str) -> str:
    """The template's range that the size lies in.

    >>> _choose_band(1_000_000, _IMAGE_BANDS, "More than 1 billion images")
    '1 million to 1 billion images'
    """
    return next((name for least, name in bands if size < least), last)


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
    return tabulate(["Domain name", "Of", "Number", "Share"], rows, words=2, code=True)
