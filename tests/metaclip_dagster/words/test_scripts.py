"""Texts of every script match as their readers part words, and what is searched in one script changes no other."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.balancing import admit, build_draw, count_sizes, language_thresholds
from metaclip_dagster.counting import count_entries, merge_counts
from metaclip_dagster.explaining import find_entries, holds_all
from metaclip_dagster.matching import (
    automaton,
    build_matcher,
    build_matcher_of_the_paper,
    match_entries,
    why_unmatchable_in_the_paper,
)
from metaclip_dagster.metadata.wikitext import split_runs
from metaclip_dagster.schemas import MATCHES
from metaclip_dagster.words.languages import LANGUAGES, PARTING, SPACELESS, identification_code, why_unidentified
from metaclip_dagster.words.scripts import find_particles, fold_text, join_words
from metaclip_dagster.words.spacing import build_finder, space_marks, why_unmatchable
from resources.models import language_id
from tests.metaclip_dagster.tables import entries_of, pairs_of

# Sentences that a reader of the language can check: what is in them, and what is not.
SENTENCES = [
    ("zh", "一只可爱的小猫正在红色沙发上睡觉。", ["猫", "小猫", "红色", "沙发"], ["狗", "红色 沙发"]),
    ("zh", "我用iPhone手机在北京天安门广场拍照，很开心！", ["iPhone", "手机", "天安门广场"], ["Phone", "iPhones"]),
    ("zh", "《你好，李焕英》是一部“喜剧”电影", ["你好，李焕英", "喜剧", "电影"], ["你好,李焕英"]),
    ("zh", "一隻黑貓坐在窗邊看著臺北１０１大樓", ["黑貓", "貓", "臺北101", "101", "１０１", "大樓"], ["猫", "10"]),
    ("ja", "東京タワーの前で猫がコーヒーを飲んでいる。", ["東京", "東京タワー", "猫", "コーヒー"], ["コーヒ", "犬"]),
    ("ja", "佐々木さんは雪の日にスキーへ行き、シャツを買った。", ["佐々木", "スキー", "シャツ"], ["スキ", "シ", "佐"]),
    ("ja", "ﾊﾞﾅﾅとﾁｮｺﾚｰﾄのｹｰｷを食べました", ["バナナ", "チョコレート", "ケーキ", "ﾊﾞﾅﾅ"], ["ハナナ", "チ"]),
    ("ja", "レオナルド・ダ・ヴィンチの絵", ["レオナルド・ダ・ヴィンチ", "ヴィンチ", "絵"], ["レオナルド ダ ヴィンチ"]),
    ("ja", "映画「君の名は。」のNHKホール上映会", ["君の名は。", "君の名は", "NHKホール", "NHK"], ["HK"]),
    ("ko", "고양이가 서울역에서 기차를 기다리고 있습니다.", ["고양이", "서울역", "기차", "고양이가"], ["서울", "양이"]),
    ("ko", "우리는 iPhone으로 학교에서는 책을 읽어요", ["iPhone", "학교", "책", "우리"], ["학", "교"]),
    ("ko", "친구와 함께 부산으로 가는 길", ["친구", "부산", "길", "가는"], ["부", "함"]),
    ("th", "แมวสีดำกำลังนอนอยู่บนโซฟา", ["แมว", "แมวสีดำ", "โซฟา", "นอน"], ["หมา", "โซฟ", "ซฟา", "ส"]),
    ("th", "เด็กๆ ดูการ์ตูนและกินเบียร์ไม่ได้", ["เด็ก", "การ์ตูน", "เบียร์"], ["กา", "เบีย", "ด็ก"]),
    ("th", "น้ำตกในประเทศไทย (Erawan)", ["น้ำตก", "ประเทศไทย", "น้ำ", "ไทย"], ["น", "ปร", "Erawan"]),
    ("lo", "ແມວນອນຢູ່ເທິງຕຽງໃນວຽງຈັນ", ["ແມວ", "ນອນ", "ຕຽງ", "ວຽງຈັນ"], ["ແມ ວ", "ທິງ", "ໝາ", "ຕ"]),
    ("km", "ឆ្មាពណ៌ខ្មៅកំពុងគេងលើកៅអី", ["ឆ្មា", "ខ្មៅ", "កៅអី"], ["ឆ", "មា", "ខ", "ឆ្កែ"]),
    ("km", "ប្រាសាទ\u200bអង្គរវត្ត\u200bនៅ\u200bសៀមរាប", ["ប្រាសាទអង្គរវត្ត", "អង្គរវត្ត", "សៀមរាប"], ["អង", "សៀមរ"]),
    ("my", "ကြောင်လေးက ကုလားထိုင်ပေါ်မှာ အိပ်နေတယ်။", ["ကြောင်", "ကြောင်လေး", "ကုလားထိုင်"], ["ကြော", "ကုလားထို", "အိ"]),
    ("my", "မန္တလေးမြို့၏ ရှုခင်း", ["မန္တလေး", "မန္တလေးမြို့", "ရှုခင်း"], ["မ", "မန", "တလေး"]),
    ("bo", "བོད་ལྗོངས་ཀྱི་རི་བོ་མཐོ་པོ།", ["བོད", "བོད་ལྗོངས", "རི་བོ"], ["རི་བ", "ལྗོང", "ཇོ"]),
    ("bo", "བོད་པའི་ཁྱི་ནག་པོ་ཞིག", ["བོད་པ", "བོད་པའི", "ཁྱི"], ["ཁྱ", "ནག་པ"]),
    ("ar", "قطة سوداء تنام على الأريكة", ["قطة", "قطة سوداء", "الأريكة"], ["أريكة", "كلب"]),
    ("he", "חתול שחור ישן על הספה, בבית", ["חתול", "חתול שחור", "הספה"], ["ספה", "בית"]),
    ("hi", "काली बिल्ली सोफे पर सो रही है।", ["बिल्ली", "काली बिल्ली", "सोफे", "है"], ["बिल", "कुत्ता", "है।"]),
    ("ar", "هل رأيت قطة سوداء؟ نعم، رأيتها؛ وهي تنام۔", ["سوداء", "نعم", "رأيتها", "تنام"], ["سوداء؟", "نعم،"]),
    ("fa", "این گربه سیاه است، آیا می‌بینی؟", ["است", "می‌بینی"], ["بینی", "سگ"]),
    (
        "hy",
        "Սև կատուն քնած է բազմոցի վրա։ Տեսա՞ր, այնտեղ՝ պատուհանի մոտ։",
        ["վրա", "այնտեղ", "մոտ", "Տեսա՞ր"],
        ["Տեսա"],
    ),
    ("am", "ጥቁር ድመት በወንበር ላይ ተኝታለች። ቆንጆ ነች፣ አይደለም፧", ["ተኝታለች", "ነች", "አይደለም"], ["ተኝታለች።", "ውሻ"]),
    ("bo", "བོད་ལྗོངས(ཁྱི)ཀྱི་རི་བོ[མཐོ་པོ]།", ["བོད་ལྗོངས", "ཁྱི", "མཐོ་པོ"], ["ཁྱ", "རི་བ"]),
    ("ru", "Чёрная кошка спит на диване.", ["кошка", "Чёрная кошка"], ["кош", "диван", "Кошка"]),
    ("el", "Η μαύρη γάτα κοιμάται στον καναπέ", ["γάτα", "μαύρη γάτα"], ["γατα", "σκύλος"]),
    ("vi", "Con mèo đen đang ngủ trên ghế", ["mèo", "mèo đen", "ghế"], ["meo", "chó"]),
    ("en", "A black cat is sleeping in the garden of 東京タワー, Tokyo", ["cat", "東京タワー"], ["東京", "Cat"]),
]

KANA_AND_HAN = [*"猫人々東京・「」、。，ーキャっッ一１Ａ", *"ｶﾞ", "か\u3099"]
CLAUSES = [*"،؟।।॥", "बिल्ली", "قطة"]
SOUTH = [*"แกาเมวน้ำร์ๆ", *"ແມວາ", "ឆ្មា", "្", *"ក១", *"ကောင်န္တ့", *"བོད་འི།"]
HANGUL = [*"고양이가는은를에서로으학교책", "\u1100\u1161", "iPhone"]
LATIN = [*"ab1", "ab", "é", "e\u0301", "U.S", "-", "“", "”", "\u3000", "\u200b", "\u200d", "\ufe0f", "👍🏽"]
pieces = st.sampled_from([*KANA_AND_HAN, *SOUTH, *CLAUSES, *HANGUL, *LATIN, " ", " ", "\n", "\t", *",.;:?!`"])
strings = st.lists(pieces, max_size=8).map("".join)
lists_of_entries = st.lists(strings, min_size=1, max_size=25, unique=True)
lists_of_texts = st.lists(strings, max_size=10)
languages = st.sampled_from(["zh", "ja", "th", "km", "my", "bo", "ko", "hi", "ar", "other"])
thorough = settings(max_examples=100)


def search(texts: Sequence[str], entries: Sequence[str], language: str) -> list[list[int]]:
    [engine] = build_matcher(entries_of(entries, language)).engines.values()
    offsets, ids = engine.match(pa.array(texts, pa.string()))
    return [ids[start:end].tolist() for start, end in pairwise(offsets)]


def is_open(character: str) -> bool:
    """Whether a word needs no space beside it: told by names of characters, not by blocks as the method does."""
    name, category = unicodedata.name(character, ""), unicodedata.category(character)
    if name.startswith(("CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "FULLWIDTH", "THAI", "LAO", "KHMER", "MYANMAR")):
        return category not in {"Nd", "Lu", "Ll", "Zs"} and character != "\u200b"
    return character in "「」。、“”" or (name.startswith("TIBETAN") and category[0] == "P")


def is_border(text: str, place: int) -> bool:
    """Whether one of the characters beside the place is open, and no syllable is cut there."""
    before, after, second = text[place - 1], text[place], text[place + 1 : place + 2]
    is_silent = unicodedata.category(after)[0] == "L" and second in {"\u0e4c", "\u103a", "\u1039", "\u1037"}
    follows = unicodedata.category(after)[0] == "M" or after in "าำะາーャッ々\u200d"
    leads = before in "เแແ\u200d\u17d2\u1039"
    return (is_open(before) or is_open(after)) and not (is_silent or follows or leads)


def contains(text: str, entry: str, language: str) -> bool:
    """The definition, written once more: the oracle that the engine and the finder must agree with."""
    searched, entry = space_marks(text, language), fold_text(entry, language)
    if why_unmatchable(entry, language) is not None:
        return False
    if language not in PARTING:
        return f" {entry} " in searched
    ends = set(find_particles(searched, language))
    for place in re.finditer(f"(?={re.escape(entry)})", searched):
        start, end = place.start(), place.start() + len(entry)
        starts_well = start and (searched[start - 1] == " " or is_border(searched, start))
        ends_well = end < len(searched) and (searched[end] == " " or is_border(searched, end) or end in ends)
        if starts_well and ends_well:
            return True
    return False


@pytest.mark.parametrize(("language", "text", "in_text", "not_in_text"), SENTENCES)
def test_sentences_hold_what_their_readers_see_in_them(
    language: str, text: str, in_text: list[str], not_in_text: list[str]
) -> None:
    entries = [*in_text, *not_in_text]
    assert [[entries[i] for i in entry_ids] for entry_ids in search([text], entries, language)] == [in_text]
    assert [*filter(build_finder(text, language), entries)] == in_text


@pytest.mark.parametrize(("language", "text"), [(language, text) for language, text, *_ in SENTENCES])
def test_the_sentences_are_identified_as_their_languages(language: str, text: str) -> None:
    assert language_id.load_identifier()([text])[0] == [language]


def test_clause_marks_of_other_scripts_may_stay_on_their_words_as_in_the_paper() -> None:
    entries = entries_of(["है", "है।"], "hi", [None, why_unmatchable("है।", "hi")])
    assert entries["unmatchable"].to_pylist() == [None, "a mark inside a word"]
    [engine] = build_matcher(entries, clause_marks=False).engines.values()
    assert engine.match(pa.array(["सो रही है।"]))[1].tolist() == []
    of_paper = entries_of(["है", "है।"], "hi", [None, why_unmatchable_in_the_paper("है।", "hi")])
    [engine] = build_matcher_of_the_paper(of_paper).engines.values()
    assert engine.match(pa.array(["सो रही है।"]))[1].tolist() == [1]
    assert [*find_entries("सो रही है।", of_paper.to_batches(), clause_marks=False)] == [("hi", "है।")]
    assert [*find_entries("सो रही है।", of_paper.to_batches())] == [("hi", "है")]


@given(st.text(), st.sampled_from(["de", "en", "ru"]))
def test_a_language_that_writes_no_such_marks_is_set_apart_as_in_the_paper(text: str, language: str) -> None:
    assert space_marks(text, language) == space_marks(text, language, clause_marks=False) == space_marks(text)


def test_texts_without_a_list_of_their_own_are_searched_for_other_and_else_dropped() -> None:
    def identify(texts: list[str]) -> tuple[list[str], list[float]]:
        return [text.split()[0] for text in texts], [1.0] * len(texts)

    texts = pairs_of(["en owl", "yue 貓", "zh 貓", "gn owl", "xx boo"])
    listed = entries_of(["owl", "貓", "owl"], ["en", "zh", "other"])
    without = listed.filter(pa.compute.not_equal(listed["language"], "other"))
    for entries, languages in ((listed, ["en", "zh", "zh", "other"]), (without, ["en", "zh", "zh"])):
        dropped: Counter[str] = Counter()
        rows = match_entries([texts], matcher=build_matcher(entries), identify=identify, dropped=dropped)
        assert [row for batch in rows for row in batch["language"].to_pylist()] == languages
        assert dropped.total() == 5 - len(languages)


@thorough
@given(lists_of_texts, lists_of_entries, languages)
def test_mixed_scripts_match_as_the_definition_says(texts: list[str], entries: list[str], language: str) -> None:
    expected = [[i for i, entry in enumerate(entries) if contains(text, entry, language)] for text in texts]
    assert search(texts, entries, language) == expected
    matchable = [entry for entry in entries if why_unmatchable(entry, language) is None]
    for text in texts:
        holds = build_finder(text, language)
        assert [*filter(holds, matchable)] == [entry for entry in matchable if contains(text, entry, language)]


@thorough
@given(lists_of_texts, lists_of_entries, languages, st.integers(1, 4), st.integers(1, 12))
def test_portions_and_windows_change_no_match_of_any_script(
    texts: list[str], entries: list[str], language: str, most_texts: int, most_bytes: int
) -> None:
    whole = search(texts, entries, language)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(automaton, "_MOST_TEXTS", most_texts)
        patch.setattr(automaton, "_MOST_BYTES", most_bytes)
        assert search(texts, entries, language) == whole


@thorough
@given(lists_of_texts, lists_of_entries, languages)
def test_what_is_found_between_spaces_is_found_in_every_language(
    texts: list[str], entries: list[str], language: str
) -> None:
    for text, entry_ids in zip(texts, search(texts, entries, language), strict=True):
        for i, entry in enumerate(fold_text(entry, language) for entry in entries):
            if f" {entry} " in space_marks(fold_text(text, language)) and why_unmatchable(entry) is None:
                assert i in entry_ids


@thorough
@given(lists_of_texts, lists_of_entries, lists_of_entries)
def test_the_pool_of_two_languages_is_both_pools(texts: list[str], ours: list[str], theirs: list[str]) -> None:
    def identify(texts: list[str]) -> tuple[list[str], list[float]]:
        return ["ja" if len(text) % 2 else "en" for text in texts], [1.0] * len(texts)

    def pool(entries: pa.Table) -> list[tuple[int, str, list[str]]]:
        matches = match_entries([batch], matcher=build_matcher(entries), identify=identify, dropped=Counter())
        return [
            (row["pair_id"], row["language"], [entries["entry"][i].as_py() for i in row["entry_ids"]])
            for row in pa.Table.from_batches(matches, MATCHES).to_pylist()
        ]

    batch = pairs_of(texts)
    both = pool(entries_of([*ours, *theirs], ["en"] * len(ours) + ["ja"] * len(theirs)))
    assert both == sorted(pool(entries_of(ours)) + pool(entries_of(theirs, "ja")))
    # What others have in their scripts changes nothing in English.
    assert [row for row in both if row[1] == "en"] == pool(entries_of(ours))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_composed_and_decomposed_texts_match_alike(form: Literal["NFC", "NFD"]) -> None:
    for language, text, in_text, not_in_text in SENTENCES:
        if language in PARTING:
            entries = [unicodedata.normalize(form, entry) for entry in [*in_text, *not_in_text]]
            texts = [unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)]
            assert search(texts, entries, language) == [[*range(len(in_text))]] * 2


def test_what_is_told_of_one_text_is_what_matching_finds_in_every_language() -> None:
    for language, text, in_text, not_in_text in SENTENCES:
        entries = entries_of(
            [*not_in_text, *in_text, *in_text], [language] * len(not_in_text + in_text) + ["de"] * len(in_text)
        )
        in_entries = [entry for of, entry in find_entries(text, entries.to_batches()) if of == language]
        assert in_entries == in_text
        assert holds_all(text, in_text, language)
        assert not holds_all(text, [*in_text, not_in_text[0]], language)


def test_entries_that_are_one_when_folded_are_all_found() -> None:
    assert search(["ＡＢＣとABC"], ["ABC", "ＡＢＣ", "ＡBC", "と"], "ja") == [[0, 1, 2, 3]]


def test_every_particle_follows_the_sound_before_it() -> None:
    words = "고양이는 고양이은 책은 책는 서울로 부산으로 부산로 학교로 친구와 친구과 책과는 iPhone은 이 에서"
    starts = set(find_particles(words, "ko"))
    parted = "".join(f"+{sign}" if place in starts else sign for place, sign in enumerate(words))
    assert parted == (
        "고양이+는 고양이은 책+은 책는 서울+로 부산+으로 부산로 학교+로 친구+와 친구과 책+과는 iPhone+은 이 에서"
    )


def test_an_entry_of_a_language_that_is_never_identified_says_so() -> None:
    assert why_unidentified("nb") == "no text is identified as 'nb', but as 'no'"
    assert why_unidentified("zh-Hant") == "no text is identified as 'zh-Hant', but as 'zh'"
    assert why_unidentified("tlh") == "no text is identified as 'tlh'"
    assert why_unidentified("yue", {"zh"}) == "no text is identified as 'yue'"
    assert {why_unidentified(code) for code in (*LANGUAGES, "other")} == {None}
    assert why_unmatchable("\u3000", "ja") == "no word"
    assert all(why_unmatchable("x", language) is None for language in LANGUAGES)
    assert all(identification_code(language) == language for language in LANGUAGES)


def test_the_languages_are_those_that_the_model_knows() -> None:
    labels = re.findall(rb"__label__([a-z]+)\0", language_id.model_path().read_bytes())
    assert {label.decode() for label in labels} == LANGUAGES
    assert {"dz"} == PARTING - LANGUAGES


@pytest.mark.parametrize(
    ("language", "text", "runs"),
    [
        ("zh", "我爱北京，天安门 iPhone手机", [["我", "爱", "北京"], ["天安门"], ["iPhone", "手机"]]),
        ("ja", "東京で猫を見た。ＡＢＣ", [["東京", "で", "猫", "を", "見", "た"], ["ABC"]]),
        ("th", "แมวกินปลา ในบ้าน", [["แมว", "กิน", "ปลา"], ["ใน", "บ้าน"]]),
        ("lo", "ແມວກິນປາ", [["ແມວ", "ກິນ", "ປາ"]]),
        ("km", "ឆ្មាស៊ីត្រី", [["ឆ្មា", "ស៊ី", "ត្រី"]]),
        ("my", "ကြောင်ကငါးစားတယ်။", [["ကြောင်", "က", "ငါး", "စား", "တယ်"]]),
        ("bo", "བོད་ལྗོངས་ཀྱི་ཁྱི།", [["བོད", "ལྗོངས", "ཀྱི", "ཁྱི"]]),
        ("ar", "نعم، رأيتها؟ تنام", [["نعم"], ["رأيتها"], ["تنام"]]),
        ("hi", "वह सोता है। हाँ", [["वह", "सोता", "है"], ["हाँ"]]),
        ("ko", "고양이가 책을 읽는다.", [["고양이가", "책을", "읽는다"]]),
    ],
)
def test_words_and_neighbours_of_running_text_are_found_in_it_again(
    language: str, text: str, runs: list[list[str]]
) -> None:
    assert [*split_runs(text, language)] == runs
    neighbours = [join_words(first, second, language) for run in runs for first, second in pairwise(run)]
    entries = list(dict.fromkeys([*(word for run in runs for word in run), *neighbours]))
    assert search([text], entries, language) == [[*range(len(entries))]]


def test_every_language_of_a_pool_is_held_to_a_t_of_its_own_and_none_is_lost() -> None:
    texts = ["A black cat on a red sofa number", "東京タワーの前で猫がコーヒーを飲んでいる", "แมวสีดำกำลังนอนอยู่บนโซฟา"]
    rare = [" and a violin", "とバイオリン", "และไวโอลิน"]
    ends = zip(texts, rare, strict=True)
    repeated = [f"{text} {n}" + end * (n % 40 == 0) for text, end in ends for n in range(200)]
    words = {
        "en": ["cat", "sofa", "violin", "dog"],
        "ja": ["猫", "コーヒー", "バイオリン", "犬"],
        "th": ["แมว", "โซฟา", "ไวโอลิน", "หมา"],
        "ko": ["고양이"],  # of which the pool has no text
    }
    entries = entries_of(
        [e for thresholds in words.values() for e in thresholds],
        [name for name, thresholds in words.items() for _ in thresholds],
    )
    dropped: Counter[str] = Counter()
    matches = [
        *match_entries(
            [pairs_of(repeated)],
            matcher=build_matcher(entries),
            identify=language_id.load_identifier(),
            dropped=dropped,
        )
    ]
    pool = pa.Table.from_batches(matches, MATCHES)
    assert Counter(pool["language"].to_pylist()) == {"en": 200, "ja": 200, "th": 200}
    assert not dropped.total()
    counted = count_entries(matches, snapshot="S", seen=Counter())
    counts = merge_counts(counted.to_batches(), entries=entries)
    assert counts["entry_count"].to_pylist() == [200, 200, 5, 0] * 3 + [0]
    thresholds = language_thresholds(counts, 20.0)
    assert thresholds == {"en": 20.0, "ja": 5.0, "th": 5.0, "ko": 1.0}
    admissions = [*admit(matches, draw=build_draw(counts), seed=0)]
    [size] = count_sizes(admissions, [thresholds])
    for language, t in thresholds.items():
        of_language = [batch.filter(pa.compute.equal(batch["language"], language)) for batch in admissions]
        num_admitted = int(sum(np.sum(batch["admitted_at"].to_numpy() < t) for batch in of_language))
        assert num_admitted >= 5 * (language != "ko")
        size -= num_admitted
    assert size == 0
    assert count_sizes(admissions, [language_thresholds(counts, np.inf)]) == [600]


def test_spaceless_texts_of_millions_of_characters_are_searched() -> None:
    long = "猫と" * 700_000 + "犬"
    assert search(["", long, "犬", "子犬"], ["猫", "犬", "と猫", "犬猫"], "ja") == [[], [0, 1, 2], [1], [1]]


def test_the_languages_without_spaces_are_parted_and_no_others_but_korean() -> None:
    assert SPACELESS | {"ko"} == PARTING
    for language in LANGUAGES - PARTING:
        assert fold_text("ＡＢＣ\u200be\u0301", language) == "ＡＢＣ\u200be\u0301"
        assert join_words("東", "京", language) == "東 京"
