"""Draw for each pair of a pool the least of its entries' random numbers, in one compiled loop."""

import numpy as np
import numpy.typing as npt

from metaclip_dagster.compiling import compiled

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.uint64]
_U = np.uint64


@compiled
def draw_least(
    of_pair: Ids, offsets: npt.NDArray[np.int32], entries: npt.NDArray[np.uint32], entry_key: Ids, entry_count: Floats
) -> Floats:
    """The least of `uniform` times count over each pair's entries, bit for bit; inf where a pair has none.

    `of_pair` is each pair's part of the hash; pair i has `entries[offsets[i]:offsets[i + 1]]`, which number
    `entry_key` and `entry_count`. Raises IndexError for an entry without a count.
    """
    least: Floats = np.full(len(of_pair), np.inf)
    for i in range(len(of_pair)):
        for at in range(offsets[i], offsets[i + 1]):
            entry = entries[at]
            if entry >= len(entry_count):
                raise IndexError("a match is of an entry that was not counted: count the entries again")
            x = of_pair[i] + entry_key[entry]
            x = (x ^ x >> _U(30)) * _U(0xBF58476D1CE4E5B9)
            x = (x ^ x >> _U(27)) * _U(0x94D049BB133111EB)
            x = (x ^ x >> _U(31)) >> _U(11)
            least[i] = min(least[i], np.int64(x) * 2.0**-53 * entry_count[entry])
    return least
