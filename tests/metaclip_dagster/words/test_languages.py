"""Every Wikipedia and every text has one list at most, whatever codes they go by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip_dagster.words.languages import (
    ALL,
    LANGUAGES,
    MERGED,
    OPEN_MULTILINGUAL,
    OTHER,
    assign_wikis,
    find_list,
    identification_code,
    list_names,
)

WIKIS = [
    *("aa", "als", "be", "be_x_old", "bat_smg", "cbk_zam", "de", "dz", "en", "hak", "nds", "nds_nl", "nn", "no"),
    *("simple", "zh", "zh_classical", "zh_min_nan", "zh_yue"),
]


def test_wikipedias_of_one_language_merge_and_those_that_no_identification_names_are_one_list() -> None:
    lists = assign_wikis(WIKIS, [ALL])
    assert lists["zh"] == ["zh", "zh_classical", "zh_yue"]
    assert lists["be"] == ["be", "be_x_old"]
    assert (lists["nds"], lists["no"], lists["nn"]) == (["nds", "nds_nl"], ["no"], ["nn"])
    assert lists[OTHER] == ["aa", "bat_smg", "dz", "hak", "zh_min_nan"]
    assert [*lists] == ["en", "als", "be", "cbk", "de", "nds", "nn", "no", "zh", OTHER]
    assert sorted(wiki for wikis in lists.values() for wiki in wikis) == sorted({*WIKIS} - {"simple"})


def test_wikimedias_other_wikis_give_no_list_whatever_they_are_called() -> None:
    others = ["commons", "meta", "species", "strategy", "ten", "test2", "wikidata", "wikimania2018"]
    assert assign_wikis(["en", "hak", *others], [ALL]) == {"en": ["en"], OTHER: ["hak"]}


def test_english_has_one_wikipedia_however_many_others_there_are() -> None:
    assert assign_wikis(WIKIS, [ALL])["en"] == assign_wikis(WIKIS, ["en"])["en"] == ["en"]


def test_codes_are_taken_however_they_are_written_and_a_list_of_its_own_goes_before_a_shared_one() -> None:
    for codes in (["zh", "zh-yue"], ["zh", "zh_yue"], ["zh", "yue"]):
        assert assign_wikis(WIKIS, codes) == {"zh": ["zh", "zh_classical"], "yue": ["zh_yue"]}
    assert assign_wikis(WIKIS, ["be-tarask", "be", "nb"]) == {"be": ["be", "be_x_old"], "no": ["no"]}
    assert assign_wikis(WIKIS, ["hak", OTHER])[OTHER] == ["aa", "bat_smg", "dz", "zh_min_nan"]
    assert assign_wikis(WIKIS, ["fr"]) == {"fr": []}
    with pytest.raises(ValueError, match="`all` stands alone"):
        assign_wikis(WIKIS, [ALL, "de"])


@given(st.sets(st.sampled_from(sorted(LANGUAGES))), st.sampled_from(sorted({*LANGUAGES, "hak", "xx"})))
def test_a_text_is_searched_for_its_own_list_or_else_for_other_or_dropped(languages: set[str], text: str) -> None:
    alone, merged = find_list(text, languages), MERGED.get(text)
    assert alone == (text if text in languages else merged if merged in languages else None)
    assert find_list(text, {*languages, OTHER}) == (alone or OTHER)


def test_a_language_beyond_ours_has_one_name_however_wikipedias_and_models_call_it() -> None:
    from nltk.langnames import iso639short  # seconds that only this test needs

    # ISO 639-3 of all languages that have two letters, by which Wikipedias go.
    beyond = {iso: code for iso, code in iso639short.items() if identification_code(code) is None}
    assert len(beyond) > 50
    assert {iso: list_names(iso)[0] for iso in beyond} == {iso: list_names(code)[0] for iso, code in beyond.items()}
    wikis = ["ha", "hak", "zh_min_nan", "roa_rup", "xh"]
    assert assign_wikis(wikis, ["hau", "nan", "rup", "xho", OTHER]) == {
        "ha": ["ha"],
        "nan": ["zh_min_nan"],
        "rup": ["roa_rup"],
        "xh": ["xh"],
        OTHER: ["hak"],
    }
    assert [find_list(code, {"en", "ha", "nan"}) for code in ("hau", "ha", "nan", "xho")] == ["ha", "ha", "nan", None]


def test_languages_of_the_multilingual_wordnet_are_identified() -> None:
    assert {*OPEN_MULTILINGUAL.values()} <= LANGUAGES - {"en"}
