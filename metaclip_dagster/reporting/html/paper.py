"""Numbers of the paper (Xu et al. 2023) that pages set beside ours."""

PAPER_SOURCES = {
    "wordnet_synsets": 86_654,
    "wikipedia_unigrams": 251_465,
    "wikipedia_bigrams": 100_646,
    "wikipedia_titles": 61_235,
}
"""Entries by source as the paper has them (Xu et al. 2023, Table 1)."""

PAPER_ENTRIES = 500_000

SOURCES_NOTE = (
    "Paper: Xu et al. 2023, Table 1, 500,000 entries. An entry that several sources name is counted for the first "
    "of them here, so compare the shares. WordNet 3.0 has 86,571 names of synsets, and 86,578 entries come from it: "
    "a name that holds a point, such as et al., is an entry whole and cut at the point. The paper's 86,654 are the "
    "86,554 names so cut, and the numbers 0 to 99."
)
