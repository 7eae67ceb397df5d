"""Say in sentences what the parts of a dataset are made of: collection, processing, limits, rights."""

from collections.abc import Mapping, Sequence

from metaclip_dagster.publishing.parts import Part, find_period_of
from metaclip_dagster.reporting.html.numbers import percent

OPEN = "Open: nobody has answered this yet."

SAMPLE = "the offline sample of metaclip_dagster, a made-up crawl of drawings"

RIGHTS = (
    "Pages, texts and images belong to their owners. This dataset is an index of addresses and short texts that a "
    "crawl of the public web found; it gives no licence to what lies behind them."
)
_STAGES = {
    "pairs": "pairs of an image and a text that its page has for it were read",
    "matches": "of these have a text that contains an entry, and are in a language that has entries",
    "admissions": "of these are in the pool",
}


def describe_dataset(parts: Sequence[Part]) -> str:
    """What it is, where the publisher has not said it."""
    return (
        f"Pairs of an image's address and the text that a web page has for it, from {_name_origin(parts)}, balanced by "
        "the method of Demystifying CLIP Data (Xu et al. 2023, MetaCLIP). There are no images in it, only where they "
        "lie."
    )


def describe_collection(parts: Sequence[Part]) -> str:
    """From which snapshots and sets of others the pairs are, crawled when."""
    crawled = find_period_of(parts)
    when = f" Their pages were crawled from {crawled[0]} to {crawled[1]}; none was fetched anew." if crawled else ""
    return f"Image–text pairs were read from {_name_origin(parts)}: {', '.join(list_snapshots(parts))}.{when}"


def describe_stages(part: Part) -> list[str]:
    """How many pairs each step let through and what it dropped, why."""
    lines = []
    for stage in part.card["stages"]:
        says = _STAGES.get(stage["stage"], f"of these are kept by balancing at t = {part.t}")
        lines.append(f"{stage['rows']:,} {says}.{_list_dropped(stage['dropped'])}")
    return lines


def describe_left_out(part: Part) -> str:
    """What each step of making the largest part left out, in one sentence."""
    stages = part.card["stages"]
    return f"of {stages[0]['rows']:,} pairs that were read, {part.config} has {part.pairs:,}."


def describe_limits(parts: Sequence[Part]) -> list[str]:
    """What the dataset is not good for, by what is known of how it was made."""
    largest = parts[-1]
    languages = largest.languages
    entries, scores = largest.card["entries"], largest.card["language_scores"]
    most, pairs = next(iter(languages.items()), ("no language", 0))
    share = pairs / largest.pairs if largest.pairs else None
    limits = [
        "The metadata decides which subjects exist at all: "
        f"{entries['entries'] - entries['entries_matched']:,} of {entries['entries']:,} entries match no pair.",
        f"{percent(share)} of {largest.config} is in one language ({most}).",
        "Texts are what pages say of images, often advertising, file names or nothing that is seen.",
        "Duplicates are found by address and text, not by looks: one image at two addresses is there twice.",
        "Balancing judges how often a subject occurs and nothing else. It removes no pair for being unsafe, private, "
        "false or biased; nobody has looked at all images or texts.",
    ]
    if not are_of_one_pool(parts):
        limits.append("Its configs were made of different pools: the smaller need not lie inside the larger.")
    if scores.get("below_08") is not None:
        limits.append(
            "Languages were identified by a program, which was less than 80% sure of "
            f"{percent(scores['below_08'])} of the texts."
        )
    return limits


def are_of_one_pool(parts: Sequence[Part]) -> bool:
    """Whether all parts were drawn from one pool by one seed, so that they are nested."""
    versions = ("snapshots", "entries", "exclusions", "entry_counts", "seed")
    return len({tuple(part.card["provenance"].get(name) for name in versions) for part in parts}) == 1


def list_snapshots(parts: Sequence[Part]) -> list[str]:
    """The snapshots of all parts, sorted."""
    return sorted({row["snapshot"] for part in parts for row in part.card["snapshots"]})


def is_of_common_crawl(parts: Sequence[Part]) -> bool:
    """Whether any of it comes from Common Crawl, by the keys of its snapshots."""
    return any(key.startswith("CC-MAIN-") for key in list_snapshots(parts))


def _name_origin(parts: Sequence[Part]) -> str:
    """Whose crawl it was, by the keys of its snapshots, and whether sets of others are among them."""
    keys = list_snapshots(parts)
    pools = [key for key in keys if key.startswith("pool-")]
    origins = [SAMPLE if all(key.startswith("SAMPLE-") for key in keys) else "a crawl of the web"]
    if is_of_common_crawl(parts):
        origins = ["Common Crawl"]
    return " and ".join(origins * (len(pools) < len(keys)) + ["sets that others made"] * bool(pools))


def _list_dropped(dropped: Mapping[str, int]) -> str:
    reasons = ", ".join(f"{reason.replace('_', ' ')} {rows:,}" for reason, rows in dropped.items() if rows)
    return f" Left out: {reasons}." if reasons else ""
