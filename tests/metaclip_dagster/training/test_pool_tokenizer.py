"""A tokenizer that is trained from the pool: the same whatever order texts come in, and no text is unknown to it."""

import hashlib
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from metaclip_dagster.schemas import ADMISSIONS, TOKENIZER_TEXTS
from metaclip_dagster.training import balance_languages, check_vocab_size, draw_texts, parse_tokenizer, train_tokenizer
from metaclip_dagster.training.tokenizer_texts import MOST_REPEATS
from metaclip_dagster.training.tokenizer_training import LEAST_TOKENS
from tests.metaclip_dagster.tables import pairs_of

WORDS = {
    "en": ["red", "bicycle", "house", "dog", "a", "of"],
    "de": ["rotes", "Fahrrad", "Straße", "Hund", "ein"],
    "hi": ["लाल", "साइकिल", "घर", "कुत्ता", "है"],
    "ja": ["赤い自転車", "犬の写真", "家"],
}


def texts_of(num: int, languages: Sequence[str] = (*WORDS,)) -> list[tuple[str, str, int]]:
    """Language, text and repeats of made-up texts."""
    draw = random.Random(0)
    return [
        (language, " ".join(draw.choices(WORDS[language], k=5)), 1 + number % 3)
        for number in range(num)
        for language in languages
    ]


def batches_of(rows: Sequence[tuple[str, str, int]], size: int = 64) -> list[pa.RecordBatch]:
    """TOKENIZER_TEXTS, some rows at a time."""
    return [
        pa.RecordBatch.from_pylist(
            [
                {"pair_id": number, "language": language, "text": text, "repeats": repeats}
                for number, (language, text, repeats) in enumerate(rows[start : start + size])
            ],
            TOKENIZER_TEXTS,
        )
        for start in range(0, len(rows), size)
    ]


def train(rows: Sequence[tuple[str, str, int]], vocab_size: int = 320, size: int = 64) -> Mapping[str, object]:
    """The row of a tokenizer of these texts."""
    batches = batches_of(rows, size)
    return dict(train_tokenizer(iter(batches), iter(batches), vocab_size=vocab_size).to_pylist()[0])


def test_order_batches_and_threads_change_no_byte_of_a_tokenizer() -> None:
    rows = texts_of(100)
    trained = train(rows)
    shuffled = random.Random(1).sample(rows, len(rows))
    assert train(shuffled, size=7) == trained
    code = "from tests.metaclip_dagster.training.test_pool_tokenizer import *; print(train(texts_of(100))['sha256'])"
    environment = {**os.environ, "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    elsewhere = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert elsewhere.stdout.strip() == trained["sha256"]


def test_the_file_is_one_that_recipes_read_and_cuts_every_text_into_its_own_characters() -> None:
    trained = train(texts_of(100))
    content = trained["tokenizer"]
    assert isinstance(content, bytes)
    tokenizer = parse_tokenizer(content)
    assert (tokenizer.end, tokenizer.pad, tokenizer.num_ids) == ("</s>", "<pad>", 320)
    assert tokenizer.sha256 == trained["sha256"] == hashlib.sha256(content).hexdigest()
    reader = Tokenizer.from_buffer(content)
    for text in ("Größe", "ไทย ኣማርኛ", "👩‍🚀 and 12345 x²", "सो रही है।", "A  b\u00a0c\n"):
        written = reader.decode(reader.encode(text).ids)
        assert written == " " + " ".join(reader.normalizer.normalize_str(text).split())
    assert reader.encode("ﬁ Ａ").ids == reader.encode("fi A").ids, "as XLM-V and mT5, by NFKC"
    assert reader.encode("red").ids == reader.encode("a red").ids[-len(reader.encode("red").ids) :], (
        "a word is one token wherever it stands"
    )
    assert reader.encode("Red").ids != reader.encode("red").ids


def test_what_is_measured_is_what_the_file_does() -> None:
    trained = train(texts_of(50, ["en", "hi"]), 400)
    content, languages = trained["tokenizer"], trained["languages"]
    assert isinstance(content, bytes)
    assert isinstance(languages, list)
    reader = Tokenizer.from_buffer(content)
    for its in languages:
        texts = [text for language, text, _ in texts_of(50, ["en", "hi"]) if language == its["language"]]
        assert its["num_texts"] == 50
        assert its["tokens_a_text"] == sum(len(reader.encode(text).ids) - 1 for text in texts) / 50
    assert languages[0]["byte_share"] == 0


def test_texts_that_give_fewer_tokens_than_asked_for_say_so() -> None:
    trained = train(texts_of(10, ["en"]), 5_000)
    assert trained["asked_vocab_size"] == 5_000
    assert LEAST_TOKENS < int(str(trained["vocab_size"])) < 400


@pytest.mark.parametrize("vocab_size", [0, LEAST_TOKENS - 1, 5_000_000])
def test_a_vocabulary_without_place_for_the_bytes_or_beyond_what_is_embedded_is_refused(vocab_size: int) -> None:
    with pytest.raises(ValueError, match=r"take 258 to 4,000,000; the 256 bytes"):
        check_vocab_size(vocab_size)


def test_a_pool_without_texts_is_refused() -> None:
    with pytest.raises(ValueError, match="the pool has no text that a tokenizer could be trained from"):
        train([])


@given(
    st.dictionaries(st.sampled_from(["en", "de", "ja", "other"]), st.integers(0, 10**7), max_size=4),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.integers(1, 10**6),
)
def test_a_share_of_what_is_read_is_the_pools_to_the_power_alpha(
    num_texts: dict[str, int], alpha: float, most_texts: int
) -> None:
    rates = balance_languages(num_texts, alpha=alpha, most_texts=most_texts)
    assert rates.keys() == {language for language, num in num_texts.items() if num}
    read = {language: rate * num_texts[language] for language, rate in rates.items()}
    assert sum(read.values()) <= min(most_texts, sum(num_texts.values())) * 1.000001
    free = [language for language, rate in rates.items() if rate < MOST_REPEATS]
    for one in free:
        for other in free:
            assert read[one] / read[other] == pytest.approx((num_texts[one] / num_texts[other]) ** alpha)


def test_each_text_of_the_pool_is_read_as_often_as_its_language_asks_whatever_the_shards() -> None:
    draw = random.Random(2)
    ids = [draw.getrandbits(64) for _ in range(3000)]
    rows = pairs_of([f"text {number}" for number in range(3000)])
    pairs = rows.set_column(
        rows.schema.get_field_index("pair_id"), rows.schema.field("pair_id"), pa.array(ids, pa.uint64())
    )
    languages = [("en", "de", "ja")[pair % 3] for pair in ids[::2]]
    columns = {"pair_id": ids[::2], "language": languages}
    admissions = pa.RecordBatch.from_pydict(
        {"image_id": [bytes(12)] * 1500, "admitted_at": [0.0] * 1500, **columns}, schema=ADMISSIONS
    )
    rates = {"en": 0.25, "de": 2.5, "ja": 0.0}
    whole = pa.Table.from_batches(draw_texts([pairs], [admissions], rates=rates))
    cut = [pairs.slice(start, 100) for start in range(0, 3000, 100)]
    assert pa.Table.from_batches(draw_texts(cut, [admissions], rates=rates)) == whole
    number_of = {pair: number for number, pair in enumerate(ids)}
    assert all(row["text"] == f"text {number_of[row['pair_id']]}" for row in whole.to_pylist())
    read = Counter[str]()
    for row in whole.to_pylist():
        read[row["language"]] += row["repeats"]
        assert row["repeats"] == 1 if row["language"] == "en" else row["repeats"] in (2, 3)
    in_pool = Counter(languages)
    assert "ja" not in read
    for language in ("en", "de"):
        assert read[language] == pytest.approx(rates[language] * in_pool[language], rel=0.2)
