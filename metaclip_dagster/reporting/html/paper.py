"""Numbers of the paper (Xu et al. 2023) that pages set beside ours."""

ENTRIES_BY_SOURCE = {
    "wordnet_synsets": 86_554,
    "numbers": 100,
    "wikipedia_unigrams": 251_465,
    "wikipedia_bigrams": 100_646,
    "wikipedia_titles": 61_235,
}
"""Entries by source, in declared order (Xu et al. 2023, Table 1, whose first row has the numbers 0 to 99, too)."""

NUM_ENTRIES = sum(ENTRIES_BY_SOURCE.values())
