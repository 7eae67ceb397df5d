"""Relate the accuracy of classes to how many pairs have their names: bins, slopes with intervals, correlations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip_dagster.reporting.html.intervals import bound_share

Floats = npt.NDArray[np.float64]

NUM_DRAWS = 1000
"""Bootstrap draws of classes."""
MIN_CLASSES = 5
"""Fewer classes give no slope: a line through four points says nothing."""
MOST_FLAT = 0.025
"""In more of the draws no count may vary: a line that three classes carry alone says nothing either."""
_BLOCK = 2_000_000  # numbers drawn at a time


def log_pairs(num_pairs: Floats) -> Floats:
    """Counts on the axis of all that follows: log10(1 + pairs), so that none has a place too."""
    return np.asarray(np.log10(1 + num_pairs), float)


def relate(num_pairs: Floats, accuracy: Floats) -> dict[str, Any]:
    """The line through accuracy over log10(1 + pairs), a class a point, and how far both go together.

    `slope` is the accuracy that ten times as many pairs go with, `low` and `high` bound it to 95% by a bootstrap over
    classes; `pearson` and `spearman` are correlations. All are None where there are fewer than five classes, or all but
    some three have one and the same count: an interval would not know of these three's luck. Correlations are None,
    too, where no accuracy differs.
    """
    x, y, slope = log_pairs(num_pairs), np.asarray(accuracy, float), fit_slope(num_pairs, accuracy)
    bounds = None if slope is None else _bound_slope(x, y)
    if slope is None or bounds is None:
        return {"classes": len(x), **dict.fromkeys(("slope", "intercept", "low", "high", "pearson", "spearman"))}
    low, high = bounds
    return {
        "classes": len(x),
        "slope": slope,
        "intercept": float(y.mean() - slope * x.mean()),
        "low": low,
        "high": high,
        "pearson": _correlate(x, y),
        "spearman": _correlate(_rank(x), _rank(y)),
    }


def fit_slope(num_pairs: Floats, accuracy: Floats) -> float | None:
    """The slope of `relate` alone; None where there are fewer than five classes or no count differs."""
    x = log_pairs(num_pairs)
    if len(x) < MIN_CLASSES or np.ptp(x) == 0:
        return None
    return float(_slopes(np.ones((1, len(x))), x, np.asarray(accuracy, float))[0])


def relate_within(times_seen: Floats, accuracy: Floats) -> dict[str, Any]:
    """What the same class gains over training sets where it is seen more often: both are rows of classes by sets.

    Of each class's log10(1 + times seen) and accuracy its own mean over the sets is taken away, and each set's mean
    over the classes (two-way fixed effects), so that neither an easy class nor a better set counts. Keys as in
    `relate`, without an intercept. None where there is one set alone.
    """
    x, y = (
        values - values.mean(axis=1, keepdims=True) for values in (log_pairs(times_seen), np.asarray(accuracy, float))
    )
    numbers: dict[str, Any] = {"classes": len(x), "sets": x.shape[1], **dict.fromkeys(("slope", "low", "high"))}
    bounds = _bound_slope(x, y) if len(x) >= MIN_CLASSES and x.shape[1] > 1 else None
    if bounds is None:
        return numbers
    [slope] = _slopes(np.ones((1, len(x))), x, y).tolist()
    return {**numbers, "slope": slope, "low": bounds[0], "high": bounds[1]}


def bin_classes(num_pairs: Floats, accuracy: Floats, num_images: Floats) -> list[dict[str, Any]]:
    """Accuracy of the images of classes with no pair, 1 to 9, 10 to 99 and so on, with Wilson's 95% interval.

    `accuracy` is each class's, `num_images` its test images; a bin without a class is left out.
    """
    decade = np.where(num_pairs < 1, -1, np.floor(np.log10(np.maximum(num_pairs, 1)) + 1e-9)).astype(int)
    bins = []
    for power in sorted({*decade.tolist()}):
        inside = decade == power
        images = float(num_images[inside].sum())
        share = float((accuracy * num_images)[inside].sum() / images)
        low, high = bound_share(share, images)
        bins.append(
            {
                "from": 0 if power < 0 else 10**power,
                "to": 0 if power < 0 else 10 ** (power + 1) - 1,
                "classes": int(inside.sum()),
                "images": int(images),
                "mean_log_pairs": float(log_pairs(num_pairs[inside]).mean()),
                "accuracy": share,
                "low": low,
                "high": high,
            }
        )
    return bins


def spread_of(values: Sequence[float | None]) -> float | None:
    """The sample standard deviation (n - 1) of what is not None; None of fewer than two."""
    numbers = [value for value in values if value is not None]
    return float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None


def _draw_classes(number: int) -> Sequence[Floats]:
    """How often each draw takes each class, the same for every call: rows of draws, some of them at a time."""
    rng, rows = np.random.default_rng(0), max(1, _BLOCK // number)
    sizes = [min(rows, NUM_DRAWS - start) for start in range(0, NUM_DRAWS, rows)]
    return [rng.multinomial(number, np.full(number, 1 / number), size=size).astype(float) for size in sizes]


def _bound_slope(x: Floats, y: Floats) -> tuple[float, float] | None:
    """The 95% interval over classes; None where so few vary that many draws have none of them."""
    drawn = np.concatenate([_slopes(weights, x, y) for weights in _draw_classes(len(x))])
    if np.isnan(drawn).mean() > MOST_FLAT:
        return None
    low, high = np.nanpercentile(drawn, [2.5, 97.5]).tolist()
    return low, high


def _slopes(weights: Floats, x: Floats, y: Floats) -> Floats:
    """The least-squares slope of each row of weights, in every column about the column's own means.

    A row of `x` and `y` is a class, a column a set. NaN where a draw took classes of one count alone.
    """
    x, y = (values.reshape(len(values), -1) for values in (x - x.mean(axis=0), y))  # so that squares lose no digits
    of_all = weights.sum(axis=1, keepdims=True)
    mean_x, mean_y = weights @ x / of_all, weights @ y / of_all
    products, squares = (
        weights @ (x * values).sum(axis=1) - (of_all * mean_x * means).sum(axis=1)
        for values, means in ((y, mean_y), (x, mean_x))
    )
    slopes = np.full(len(squares), np.nan)
    np.divide(products, squares, out=slopes, where=squares > 1e-9)
    return slopes


def _rank(values: Floats) -> Floats:
    """Ranks from 0, equal values sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts + 1) / 2)[inverse], float)


def _correlate(x: Floats, y: Floats) -> float | None:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])
