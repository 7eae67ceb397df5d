"""What a data card says in sentences: the method, what its numbers mean and what they do not."""

from collections.abc import Mapping
from typing import Any

from metaclip_dagster.reporting.html.markup import Html, element, joined
from metaclip_dagster.reporting.html.numbers import number, percent

Part = Mapping[str, Any]  # of a card, whose shape `describe_subset` fixes

CAPTIONS = {
    "counts": "Pairs that match each entry, entries ranked by their own count before and after. Above t the curve is "
    "flattened, though not to a line: a pair kept for one entry brings its other entries along.",
    "shares": "Share of all matches that the most frequent entries hold. The lower curve is the more even one.",
    "sizes": "Pairs kept at every t. A subset of smaller t lies inside every subset of larger t.",
}
PAPER_HEAD = (
    "The paper, for comparison (Xu et al. 2023, 400M pairs, t = 20,000): 3.2% of 500,000 entries are above t and hold "
    "94.4% of 5.67B matches, printed there as 94.5% of 5.6B; the tail holds 6%; 3.5 matches a pair; 114,000 entries "
    "have no match; balancing keeps 400M of 1.6B pairs."
)
GROUPS = "A group is a power of ten; its examples stand at equal distances from its rarest entry to its most frequent."
TOP = (
    "Stop words, digits and capitalised forms are entries of their own, for matching minds case. The paper's first "
    "five are of, in, and, for, the (Table 3)."
)
EXTREMES = {
    "flattened": ("Flattened most", "Entries of the head with the smallest share of their pairs kept."),
    "rarest": (
        "Rarest still there",
        "Entries of the subset with the fewest matches; of many ties, a few spread evenly.",
    ),
}
RETENTION = (
    "Rows out of each stage, and what it left behind. Rows in are what the stage before gave, so a loss that nobody "
    "accounts for would show as one without a reason."
)
_METHOD = (
    "Image–text pairs are read from Common Crawl. A pair joins the pool when its text contains at least one entry of "
    "the metadata: as whole words, set apart by spaces or punctuation, in the same case.",
    "Entries are counted over the pool. Each pair and entry share one fixed number u, at least 0 and below 1, drawn by "
    "hashing the pair, the entry and the seed. A pair is kept for an entry with probability t / count, or certainly "
    "where count is at most t, and is in the subset when at least one entry keeps it:",
)
_FORMULAE = (
    "kept at t  ⇔  u × count < t for at least one of its entries",
    "P(kept) = 1 − product over its entries of (1 − min(1, t / count))",
)
_CONSEQUENCES = (
    "So the tail stays whole, an entry of the head keeps about t pairs by its own draws and more through the other "
    "entries of its pairs, and a subset lies inside that of any larger t. With several languages, each has a t of its "
    "own, the one whose tail holds the share of matches that the tail of English holds (Meta CLIP 2)."
)
_PAPERS = (
    "Xu et al. 2023, Demystifying CLIP Data, arXiv 2309.16671, sections 3.2 to 3.5 and Algorithm 1; "
    "Chuang et al. 2025, Meta CLIP 2, arXiv 2507.22062."
)
_REPRODUCE = (
    "The draw is a function of pair, entry and seed alone. With the same snapshots, entries and seed the same pairs "
    "come out, whatever the number of workers, their order or reruns."
)
_COMMAND = "On the machine that made this card, in any shell; what still holds is reused:"
_RIGHTS = (
    "Pages, texts and images belong to their owners. This subset is an index of what Common Crawl, under its terms of "
    "use, found in public: addresses and short texts, without a licence to the images behind them. Honour requests to "
    "take a pair down.",
    "Balancing judges how often a subject occurs and nothing else. It removes no pair for being unsafe, private, false "
    "or biased, and the metadata decides which subjects exist at all. Look at the tables above before you train on the "
    "subset.",
)


def lead(card: Part) -> str:
    """Say in two sentences what happened to whom."""
    pairs, entries = card["pairs"], card["entries"]
    if card["t"] == "inf":
        return (
            f"Nothing is thinned at t = inf: these are all {number(pairs['subset'])} pairs of the pool, the unbalanced "
            "control that balanced subsets are compared with."
        )
    kept = f"Balancing keeps {number(pairs['subset'])} of {number(pairs['pool'])} pairs."
    if not entries["entries_head"]:
        return f"{kept} No entry has more than t matches, so nothing is thinned."
    return (
        f"{kept} A pair that matches an entry with at most t matches always stays; the "
        f"{number(entries['entries_head'])} entries above t are thinned, from {percent(entries['head_before'])} of all "
        f"matches to {percent(entries['head_after'])}."
    )


def head_and_tail(card: Part) -> str:
    """Say what head and tail are, and how large the head is."""
    entries = card["entries"]
    of_all = percent(entries["entries_head"] / entries["entries"]) if entries["entries"] else "–"
    return (
        f"The head are the entries that more than t pairs match: {number(entries['entries_head'])} of "
        f"{number(entries['entries'])}, {of_all}. The tail is the rest. A match is one entry found in one pair's text."
    )


def leak(scores: Part) -> str:
    """Say how much of the pool is of a language that was guessed with little certainty."""
    return (
        f"Of {number(scores['pairs'])} matched pairs, {percent(scores['below_05'])} have a language score below 0.5 "
        f"and {percent(scores['below_08'])} below 0.8. Short texts are hard to tell apart, so texts of other languages "
        "leak in, most of all among these."
    )


def unmatched(entries: Part) -> str:
    """Say how many entries nothing matched."""
    none = entries["entries"] - entries["entries_matched"]
    never = sum(entries["unmatchable"].values())
    return f"{number(none)} of {number(entries['entries'])} entries have no match; {number(never)} can never have one."


def method() -> Html:
    """Tell the method in words and two formulae."""
    return joined(
        [
            *(element("p", said) for said in _METHOD),
            *(element("p", formula, class_="formula") for formula in _FORMULAE),
            element("p", _CONSEQUENCES),
            element("p", _PAPERS, class_="note"),
        ]
    )


def reproduce(command: str) -> Html:
    """Tell how to make the same subset again: by a command, if there is one."""
    introduction = [element("p", _REPRODUCE)]
    return joined([*introduction, element("p", _COMMAND), element("pre", command)] if command else introduction)


def rights() -> Html:
    """Say whose the contents are and what balancing does not do."""
    return joined(element("p", said) for said in _RIGHTS)
