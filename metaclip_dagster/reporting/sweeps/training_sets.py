"""Read from the name of a training set its t, its place in the order of t, and its label."""

import math

from metaclip_dagster.reporting.html.text import reveal

CONTROL = "inf"
"""The unbalanced set, which balanced ones are compared with."""
FINITE, ONLINE = 0, 2
"""What `rank_set` begins with for a finite t, and for a set that is drawn anew at every epoch."""


def rank_set(training_set: str) -> tuple[int, float, str]:
    """Sort key of a training set: finite t ascending, then inf, then online ones, then any other by name.

    >>> sorted(["online-20", "inf", "100", "random", "20"], key=rank_set)
    ['20', '100', 'inf', 'online-20', 'random']
    """
    t = read_t(training_set)
    if t is None:
        return 3, 0.0, training_set
    return (ONLINE if training_set.startswith("online-") else FINITE + math.isinf(t)), t, training_set


def read_t(training_set: str) -> float | None:
    """The t of a training set, online or not; None where its name is no t.

    >>> read_t("online-20"), read_t("inf"), read_t("random")
    (20.0, inf, None)
    """
    try:
        t = float(training_set.removeprefix("online-"))
    except ValueError:
        return None
    return t if t > 0 else None


def label_set(training_set: str) -> str:
    """A training set in words.

    >>> label_set("20000"), label_set("inf"), label_set("online-20")
    ('t = 20,000', 'unbalanced (t = inf)', 'online, t = 20')
    """
    t = read_t(training_set)
    if t is None:
        return reveal(training_set)
    if training_set == CONTROL:
        return "unbalanced (t = inf)"
    return f"{'online, ' if training_set.startswith('online-') else ''}t = {t:,.10g}"
