"""Describe for a data card who says no to the use of matched pairs, and what the pool's policy leaves out for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metaclip_dagster.reporting.html.numbers import share
from metaclip_dagster.signals import SIGNALS


@dataclass(frozen=True)
class OptOuts:
    """What was gathered over a pool's snapshots."""

    pairs: Mapping[str, int] = field(default_factory=dict)
    """How many matched pairs each signal is about, and how many `any` is."""
    matched: int = 0
    """Matched pairs that were looked at."""
    not_gathered: Sequence[str] = ()
    """Snapshots whose signals were not gathered."""
    robots_not_read: Sequence[str] = ()
    """Snapshots whose pages alone were read for them."""
    robots_agents: Sequence[str] = ()
    """Crawlers on whose behalf robots.txt was asked; `*` is one that none names."""
    robots_in_part: Sequence[str] = ()
    """Snapshots of whose archives of robots.txt some were read, with how many."""
    honoured: Sequence[str] = ()
    """Signals that the policy leaves pairs out for, the first reason first."""
    licenses: Sequence[str] = ()
    """Patterns of licences that the policy takes; none takes all."""
    excluded: Mapping[str, int] = field(default_factory=dict)
    """Pairs of EXCLUSIONS by their reason."""


def describe_opt_outs(opt_outs: OptOuts) -> dict[str, Any]:
    """The card's section, as JSON: signals that nobody sends are left out, unless the policy names them."""
    shown = [name for name in SIGNALS if opt_outs.pairs.get(name) or name in opt_outs.honoured]
    return {
        "matched": opt_outs.matched,
        "any": {"pairs": opt_outs.pairs.get("any", 0), "share": share(opt_outs.pairs.get("any", 0), opt_outs.matched)},
        "signals": [
            {
                "signal": name,
                "says": SIGNALS[name],
                "pairs": opt_outs.pairs.get(name, 0),
                "share": share(opt_outs.pairs.get(name, 0), opt_outs.matched),
                "honoured": name in opt_outs.honoured,
                "excluded": opt_outs.excluded.get(name, 0),
            }
            for name in shown
        ],
        "not_gathered": list(opt_outs.not_gathered),
        "robots_not_read": list(opt_outs.robots_not_read),
        "robots_agents": list(opt_outs.robots_agents),
        "robots_in_part": list(opt_outs.robots_in_part),
        "honoured": list(opt_outs.honoured),
        "licenses": {"taken": list(opt_outs.licenses), "excluded": opt_outs.excluded.get("license", 0)},
        "taken_down": opt_outs.excluded.get("taken_down", 0),
    }
