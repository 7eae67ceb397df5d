"""Declare every table that passes between two stages, each column with a sentence."""

from collections.abc import Callable
from typing import TypeVar

import pyarrow as pa

Stage = TypeVar("Stage", bound=Callable[..., object])


def named(name: str) -> Callable[[Stage], Stage]:
    """Declare the name by which stored tables know a function, as `function.identity`: it may move, the name stays.

    By custom a name is the module and the function as they were called at first; no two functions share one.
    """

    def declare(function: Stage) -> Stage:
        function.identity = f"metaclip_dagster.{name}"  # type: ignore[attr-defined]  # functions take attributes
        return function

    return declare


def writes(
    table: pa.Schema,
    *,
    name: str,
    version: int = 1,
    rows_together: int = 65_536,
    prepare: Callable[[], object] | None = None,
) -> Callable[[Stage], Stage]:
    """Declare which table a stage gives, as `stage.writes`, its name, and the version of its answer, `stage.version`.

    The name is as in `named`: what is stored under it is reused wherever the stage moves.
    Raise the version when the same input gives other rows: what is stored under the old one is then made again.
    `rows_together` are stored and read as one: a table that is read a bucket at a time wants few.
    `prepare` is called before each run of the stage and does what a process does once, such as compiling: its time is
    no run's cost.
    """

    def declare(stage: Stage) -> Stage:
        stage.writes, stage.version, stage.rows_together = table, version, rows_together  # type: ignore[attr-defined]  # functions take attributes
        stage.prepare = prepare  # type: ignore[attr-defined]  # as above
        return named(name)(stage)

    return declare


def _table(**columns: tuple[pa.DataType, str]) -> pa.Schema:
    return pa.schema([pa.field(name, type_, metadata={"description": says}) for name, (type_, says) in columns.items()])


_SNAPSHOT_COUNTS = pa.list_(pa.struct([("snapshot", pa.string()), ("entry_count", pa.uint64())]))

_TEXTS = pa.list_(
    pa.struct(
        [
            ("pair_id", pa.uint64()),
            ("text", pa.string()),
            ("language", pa.string()),
            ("entry_ids", pa.list_(pa.uint32())),
            ("admitted_at", pa.float64()),
        ]
    )
)

_SIGNALS = pa.list_(pa.struct([("signal", pa.string()), ("value", pa.string())]))

_SCORES = pa.list_(pa.struct([("filter", pa.string()), ("score", pa.float64())]))

_TOKENIZED = pa.list_(
    pa.struct(
        [
            ("language", pa.string()),
            ("num_texts", pa.uint64()),
            ("num_read", pa.uint64()),
            ("tokens_a_text", pa.float64()),
            ("byte_share", pa.float64()),
        ]
    )
)

PAIRS = _table(
    pair_id=(pa.uint64(), "xxh3_64 of the image's URL, a newline and the text: one URL with one text"),
    image_id=(pa.binary(12), "First 12 bytes of sha224 of the URL, MetaCLIP's uuid: one image, whatever its texts"),
    url=(pa.string(), "Where the image lies, absolute and normalised"),
    text=(pa.string(), "What the page says of the image; runs of white space are one space"),
    text_source=(pa.string(), "The attribute that held the text: alt, title or data-image-title"),
    page_url=(pa.string(), "The page that shows the image"),
    warc=(pa.string(), "File name of the WARC that holds the page, or of another pool's file"),
    offset=(pa.uint64(), "Byte in that WARC where the page's record begins; in a pool's file, which row or sample"),
    pool_address=(
        pa.string(),
        "Where a file of another pool holds the image's bytes; null where only its URL is known",
    ),
    crawled_at=(pa.timestamp("ms"), "When the page was crawled, in UTC; null where the archive does not say"),
    page_signals=(_SIGNALS, "What the page and its response say against this use, each signal with its words"),
    license=(pa.string(), "SPDX identifier of the image's licence, where the page names just one; else null"),
    license_evidence=(pa.string(), "Where on the page the licence is named, and its URL; null where none is"),
)
POOL_COLUMNS = _table(
    pair_id=(pa.uint64(), "A pair of a pool that others made"),
    column=(pa.string(), "A column of the pool's files that its line in pools.json keeps"),
    value=(pa.float64(), "The finite number that stands there of the pair; no row where none does"),
)
NAME_COUNT_PARTS = _table(
    bucket=(pa.uint32(), "Which of the buckets the name falls in, by its checksum"),
    language=(pa.string(), "Language of what was counted"),
    name=(pa.string(), "The name that was counted"),
    num_occurrences=(pa.uint64(), "How often, in a part of its source; a shard may name it more than once"),
)
NAME_COUNTS = _table(
    language=(pa.string(), "Language of what was counted"),
    name=(pa.string(), "A word, two neighbouring words with one blank between, or a title"),
    num_occurrences=(pa.uint64(), "How often it stands in the dump's running text, or how often it was viewed"),
)
WIKIPEDIA_PAGES = _table(
    language=(pa.string(), "Language of the Wikipedia"),
    title=(pa.string(), "Title of an article, or of a page that redirects among them"),
    redirect=(pa.string(), "The title that it redirects to; null for an article"),
)
CANDIDATES = _table(
    entry=(pa.string(), "The word or phrase, as it would be searched for"),
    language=(pa.string(), "Its language, as language identification names it"),
    score=(pa.float64(), "Its source's own measure, the best highest: synsets that bear it, count, PMI, views"),
    num_occurrences=(pa.uint64(), "How often it was seen in its source"),
)
ENTRIES = _table(
    entry_id=(pa.uint32(), "Position in this table"),
    entry=(pa.string(), "The word or phrase that texts are searched for"),
    language=(pa.string(), "Language of the texts that are searched for it"),
    source=(pa.string(), "The first source, in declared precedence, that names it"),
    rank=(pa.uint32(), "Its place among that source's candidates of its language, 0 the best"),
    unmatchable=(pa.string(), "Why no text can ever contain it; null where one can"),
)
MATCHES = _table(
    pair_id=(pa.uint64(), "The pair whose text was searched"),
    image_id=(pa.binary(12), "The pair's image"),
    language=(pa.string(), "Language of the text, which decides whose t the pair is held to"),
    language_score=(pa.float32(), "How sure language identification was, 0 to 1"),
    entry_ids=(pa.list_(pa.uint32()), "Entries found in the text, ascending, never empty"),
)
# Parquet has no timestamps in seconds: they would come back in milliseconds.
ROBOTS_TXT = _table(
    host=(pa.string(), "The host that speaks, in lower case, with a port that is not its scheme's own"),
    url=(pa.string(), "Where its text lay: after redirects, perhaps on another host"),
    kind=(pa.string(), "robots.txt, or tdmrep.json of /.well-known/"),
    captured_at=(pa.timestamp("ms"), "When the crawl asked for it, in UTC; null where the archive does not say"),
    text=(pa.string(), "What it said, the first 500 KiB"),
)
HOST_TEXTS = _table(
    bucket=(pa.uint32(), "Which of the exchange's buckets the host falls in, by its checksum"),
    **{field.name: (field.type, field.metadata[b"description"].decode()) for field in ROBOTS_TXT},
)
HOST_PATHS = _table(
    bucket=(pa.uint32(), "Which of the exchange's buckets the host falls in, by its checksum"),
    host=(pa.string(), "A host of a page or of an image, as in ROBOTS_TXT"),
    path=(pa.string(), "What of the page's or the image's URL follows the host"),
    about=(pa.string(), "page or image"),
    snapshot=(pa.string(), "Snapshot of the pair"),
    shard=(pa.string(), "Its shard in that snapshot"),
    pair_id=(pa.uint64(), "A pair that matched"),
)
OPT_OUT_SIGNALS = _table(
    snapshot=(pa.string(), "Snapshot of the pair"),
    shard=(pa.string(), "Its shard in that snapshot"),
    pair_id=(pa.uint64(), "A pair that matched"),
    signal=(pa.string(), "What speaks against this use, by its name, as a policy names it"),
    about=(pa.string(), "page or image: of which of the two it is said"),
    value=(pa.string(), "What is said, in its own words"),
    source=(pa.string(), "Where it is said: the URL of a file of the host, or of the page"),
    seen_at=(pa.timestamp("ms"), "When the crawl saw it, in UTC; null where the archive does not say"),
)
PLACES = _table(
    bucket=(pa.uint32(), "Which of the exchange's buckets the pair falls in, by its id"),
    pair_id=(pa.uint64(), "A pair that matched"),
    snapshot=(pa.string(), "Its snapshot"),
    shard=(pa.string(), "Its shard in that snapshot"),
)
EXCLUSIONS = _table(
    snapshot=(pa.string(), "Snapshot of the pair that is left out"),
    shard=(pa.string(), "Its shard in that snapshot"),
    pair_id=(pa.uint64(), "The pair that is left out there"),
    reason=(
        pa.string(),
        "duplicate: a lower place holds the same pair; taken_down: listed among the takedowns; license: none that the "
        "policy takes; or the signal of an opt-out that the policy honours",
    ),
)
SNAPSHOT_COUNTS = _table(
    snapshot=(pa.string(), "The snapshot counted"),
    entry_id=(pa.uint32(), "The entry's position in ENTRIES"),
    entry_count=(pa.uint64(), "Pairs of the snapshot that match it and are not excluded; never 0"),
)
ENTRY_COUNTS = _table(
    entry_id=(pa.uint32(), "The entry's position in ENTRIES"),
    entry=(pa.string(), "The entry itself"),
    language=(pa.string(), "The entry's language"),
    entry_count=(pa.uint64(), "Pairs of the pool that match it"),
    balanced_to=(pa.uint64(), "The count that balancing draws with: entry_count, or one that somebody published"),
    snapshot_counts=(_SNAPSHOT_COUNTS, "The same, a snapshot at a time; snapshots with none are left out"),
)
ADMISSIONS = _table(
    pair_id=(pa.uint64(), "A pair of the pool"),
    image_id=(pa.binary(12), "Its image"),
    language=(pa.string(), "Its language, which decides whose t it is held to"),
    admitted_at=(pa.float64(), "The pair is in D(t) exactly when this is below t"),
)
SUBSETS = _table(
    snapshot=(pa.string(), "Snapshot of the pair"),
    pair_id=(pa.uint64(), "The pair"),
    image_id=(pa.string(), "Its image, as 24 hexadecimal digits"),
    language=(pa.string(), "Its language"),
    url=(pa.string(), "Where the image lies"),
    text=(pa.string(), "What the page says of it"),
    page_url=(pa.string(), "The page that shows it"),
    entry_ids=(pa.list_(pa.uint32()), "Entries found in the text"),
    admitted_at=(pa.float64(), "The t above which the pair is kept"),
    t=(pa.float64(), "The t that its language was held to"),
    pool_address=(
        pa.string(),
        "Where a file of another pool holds the image's bytes; null where only its URL is known",
    ),
    license=(pa.string(), "SPDX identifier of the image's licence, where the page names just one; else null"),
    license_evidence=(pa.string(), "Where on the page the licence is named, and its URL; null where none is"),
)
IMAGE_TEXTS = _table(
    bucket=(pa.uint32(), "Which of the image store's buckets the image falls in, by its id"),
    image_id=(pa.string(), "The image, as 24 hexadecimal digits"),
    url=(pa.string(), "Where it lies"),
    pair_id=(pa.uint64(), "The image with this text"),
    text=(pa.string(), "What the page says of it"),
    language=(pa.string(), "Language of the text"),
    entry_ids=(pa.list_(pa.uint32()), "Entries found in the text"),
    admitted_at=(pa.float64(), "The t above which the pair is kept"),
    pool_address=(
        pa.string(),
        "Where a file of another pool holds the image's bytes; null where only its URL is known",
    ),
)
IMAGES = _table(
    image_id=(pa.string(), "The image, as 24 hexadecimal digits"),
    url=(pa.string(), "Where it was asked for"),
    tar=(pa.string(), "The image store's tar that holds it, relative to the store; null where there is no image"),
    offset=(pa.uint64(), "Byte of that tar where the image begins"),
    size=(pa.uint64(), "Its bytes"),
    format=(pa.string(), "jpg, png or webp: its own format, and its member's suffix"),
    width=(pa.uint32(), "Pixels across, upright"),
    height=(pa.uint32(), "Pixels down, upright"),
    sha256=(pa.string(), "Of its bytes as they are stored"),
    fetched_sha256=(pa.string(), "Of the bytes as they came; null where nothing came, or an older version fetched it"),
    fetched_size=(pa.uint64(), "Bytes as they came; null as above"),
    fetched_width=(pa.uint32(), "Pixels across as it came, upright; null where there is no image, or as above"),
    fetched_height=(pa.uint32(), "Pixels down as it came, upright; null as above"),
    form=(
        pa.string(),
        "What the store was to keep when it was written: shorter side, format and quality; empty: as it came; null as "
        "above, which is as it came, too",
    ),
    reason=(pa.string(), "Why there is no image; null where there is one"),
    opt_outs=(
        _SIGNALS,
        "What its response, and the image itself, say against this use; null where an older version fetched it",
    ),
)
FETCH_HINTS = _table(
    bucket=(pa.uint32(), "Which of the image store's buckets the image falls in, by its id"),
    image_id=(pa.string(), "The image, as 24 hexadecimal digits"),
    digest=(pa.string(), "SHA-256 or MD5 that another pool lists of its bytes, in hexadecimal digits; else null"),
    crawled_at=(pa.timestamp("ms"), "When a page with it was first crawled, in UTC; else null"),
)
FETCHES = _table(
    image_id=(pa.string(), "An image of the ring, as 24 hexadecimal digits"),
    host=(pa.string(), "Host of its URL, with a port that is not its scheme's own"),
    source=(pa.string(), "Where its bytes came from, if not from there: address at the second source; else null"),
    fetched_size=(pa.uint64(), "Bytes as they came; null where nothing came"),
    seconds=(pa.float32(), "What the last request for it took, redirects included; null where none went to the web"),
    reason=(pa.string(), "Why there is no image; null where there is one"),
    compared=(
        pa.string(),
        "With the digest that its pool lists: same, changed, or gone (404, 410, no such host); null where there is "
        "none, or nothing to compare",
    ),
)
IMAGE_SCORES = _table(
    image_id=(pa.string(), "An image of the store, as 24 hexadecimal digits"),
    sha256=(pa.string(), "Of its bytes as they are stored"),
    phash=(pa.uint64(), "Perceptual hash: which of its 64 lowest frequencies are above their median"),
    colours=(pa.uint64(), "Mean red, green and blue of its four quarters, 5 bits each"),
    scores=(_SCORES, "What each filter's function gives it"),
)
PAIR_SCORES = _table(
    image_id=(pa.string(), "An image of the store, as 24 hexadecimal digits"),
    pair_id=(pa.uint64(), "The image with one of its texts"),
    sha256=(pa.string(), "Of the image's bytes as they are stored"),
    scores=(_SCORES, "What each filter that sees texts gives them, by the filter with its model's digest"),
)
PAIR_VERDICTS = _table(
    bucket=(pa.uint32(), "Which of the image store's buckets the image falls in, by its id"),
    image_id=(pa.string(), "The image, as 24 hexadecimal digits"),
    pair_id=(pa.uint64(), "The image with a text of D(t) that goes"),
    reason=(pa.string(), "filtered_<column>, or missing_<column> where its pool has no such number of it"),
    measured=(pa.float64(), "The number; null where there is none"),
)
SAMPLE_HASHES = _table(
    task=(pa.string(), "Zero-shot task: the name of its folder"),
    sample=(pa.uint32(), "Number of the test image in the task's order, from 0"),
    phash=(pa.uint64(), "Its perceptual hash"),
    colours=(pa.uint64(), "Its colours, as in IMAGE_SCORES"),
)
IMAGE_LOOKS = _table(
    bucket=(pa.uint32(), "Which band of the perceptual hash this row is for, and a part of what that band may have"),
    ring=(pa.uint8(), "Number of the image's ring in the set, from 0: the smallest t"),
    image_id=(pa.string(), "An image that neither its scores nor its likeness to a task's leave out"),
    phash=(pa.uint64(), "Its perceptual hash"),
    colours=(pa.uint64(), "Its colours, as in IMAGE_SCORES"),
)
NEAR_IMAGES = _table(
    bucket=(pa.uint32(), "Which of the image store's buckets the image falls in, by its id"),
    image_id=(pa.string(), "An image that is near an earlier one"),
    ring=(pa.uint8(), "Number of the earlier one's ring"),
    near=(pa.string(), "The image_id of the earlier one"),
    bits=(pa.float64(), "The bits in which their hashes differ"),
)
IMAGE_VERDICTS = _table(
    bucket=(pa.uint32(), "Which of the image store's buckets the image falls in, by its id"),
    image_id=(pa.string(), "An image that a filter found something about"),
    reason=(pa.string(), "filtered_<name>, benchmark (near a task's test image) or near_duplicate"),
    measured=(pa.float64(), "The filter's score, or the bits in which the hashes differ"),
    near=(pa.string(), "The image_id, or task/sample, that it is near; null for a score"),
    left_out=(pa.bool_(), "Whether the training set goes without it, or this is only told"),
)
TRAINING_SETS = _table(
    tar=(pa.string(), "The image store's tar, relative to the store; rows of one tar stand together, in its order"),
    image_id=(pa.string(), "An image of that tar that is in the set"),
    texts=(_TEXTS, "Its texts in the set, never none; training draws one at each visit"),
)
TOKENIZER_TEXTS = _table(
    pair_id=(pa.uint64(), "A pair of the pool"),
    language=(pa.string(), "Its language"),
    text=(pa.string(), "Its text"),
    repeats=(pa.uint32(), "How often a tokenizer's training reads the text; never 0"),
)
TOKENIZERS = _table(
    tokenizer=(pa.binary(), "A tokenizer.json, as the library tokenizers reads it"),
    sha256=(pa.string(), "Of that file"),
    algorithm=(pa.string(), "How it cuts texts"),
    vocab_size=(pa.uint64(), "Tokens that it has, <pad> and </s> among them"),
    asked_vocab_size=(pa.uint64(), "Tokens that were asked for: more than it has where texts give no more"),
    languages=(
        _TOKENIZED,
        "By language: texts it was trained from, how many these are with repeats, tokens a text in the mean without "
        "the end token, and the share of tokens that are a lone byte of a character; unknown is none",
    ),
)
CHECKPOINTS = _table(
    training_set=(pa.string(), "What it was trained on: a t, or online-<t>"),
    model=(pa.string(), "The recipe with its seed, as the deployment names it"),
    architecture=(pa.string(), "The model's name in open_clip, or in our own configs"),
    seed=(pa.int64(), "Seed of weights and order"),
    path=(pa.string(), "Folder of open_clip_model.safetensors and open_clip_config.json, relative to the checkpoints"),
    pairs_seen=(pa.uint64(), "Steps of the weights' own optimizer times the global batch"),
    budget=(pa.uint64(), "Pairs it was to see"),
    loss=(pa.float64(), "Contrastive loss at the last step that was logged"),
    sha256=(pa.string(), "Of the safetensors file"),
    recipe=(pa.string(), "What it was trained by: every field of the recipe, as JSON"),
    set_version=(pa.string(), "Version of the training set it was trained on"),
)
SCORES = _table(
    task=(pa.string(), "Zero-shot task: the name of its folder"),
    language=(pa.string(), "Language of its names, captions or questions; a task's own comes first"),
    part=(
        pa.string(),
        "all, or a part of the task's images that its groups.tsv names (head, tail); english: questions asked in it",
    ),
    metric=(pa.string(), "acc1, acc5, mean_per_class, ..., and main: the task's own metric"),
    score=(pa.float64(), "0 to 1"),
    chance=(pa.float64(), "What guessing gives in the mean; null where no guess is defined"),
    num_classes=(
        pa.uint64(),
        "Classes with a name to choose from; 0 for retrieval, of multiple choice the most options of a question",
    ),
    num_templates=(pa.uint64(), "Prompts that a name stands in; 0 where it stands alone, null where none is named"),
    num_images=(pa.uint64(), "Images scored: those with a name, a caption or a question in the language"),
    training_set=(pa.string(), "What the model was trained on; null for a baseline"),
    model=(pa.string(), "The model's partition, or a baseline's name"),
    seed=(pa.int64(), "Its seed; null for a baseline"),
    pairs_seen=(pa.uint64(), "Pairs it saw; null for a baseline"),
    task_version=(pa.string(), "Changes with the task's files"),
)
CLASS_SCORES = _table(
    task=(pa.string(), "Zero-shot task"),
    language=(pa.string(), "Language of the names; a task's own comes first"),
    class_id=(pa.uint32(), "The class's line in classnames.txt"),
    class_name=(pa.string(), "Its name, the first of several"),
    part=(pa.string(), "The part that groups.tsv puts it in; null without one"),
    num_images=(pa.uint64(), "Its images"),
    acc1=(pa.float64(), "Share of them whose nearest name is it"),
    acc5=(pa.float64(), "Share of them that have it among the five nearest"),
)
SAMPLE_PREDICTIONS = _table(
    task=(pa.string(), "Zero-shot task: the name of its folder"),
    language=(pa.string(), "Language of the names or questions; a task's own comes first"),
    sample=(pa.uint32(), "Number of the test image in the task's order, from 0"),
    class_id=(pa.uint32(), "The image's class: its line in classnames.txt; of multiple choice the right option"),
    predicted_class_id=(pa.uint32(), "The class or option that is nearest to the image; of equal ones the first"),
    rank=(pa.uint32(), "How many names are nearer to the image than that of its class; 0 where it is named right"),
)
IMAGE_EMBEDDINGS = _table(
    image_id=(pa.string(), "An image of the training set, as 24 hexadecimal digits"),
    embedding=(
        pa.binary(),
        "Where the model puts it, a vector of length 1: float16, little-endian, as many numbers as the model has",
    ),
)
COVERAGE_PARTS = _table(
    kind=(pa.string(), "found, case or punctuation: how an entry is there; word: a word in no entry"),
    language=(pa.string(), "Language of the texts, and of the entry"),
    name=(pa.string(), "The entry or the word"),
    num_pairs=(pa.uint64(), "Pairs of the shard that have it"),
)
COVERAGE = _table(
    entry_id=(pa.uint32(), "The entry's position in ENTRIES"),
    entry=(pa.string(), "The entry itself"),
    language=(pa.string(), "The entry's language"),
    source=(pa.string(), "The source that it was taken from"),
    unmatchable=(pa.string(), "Why no text can ever contain it; null where one can"),
    num_pairs=(pa.uint64(), "Pairs that match it in the shards that were read, a pair in two of them twice"),
    why=(pa.string(), "Why none does: unmatchable, case, punctuation or rare; null where one does"),
    num_near=(pa.uint64(), "Pairs that have it in another case, or else with every mark set apart, where none matches"),
)
UNCOVERED_WORDS = _table(
    language=(pa.string(), "Language of the texts"),
    word=(pa.string(), "A word of the texts that is in no entry of the language"),
    num_pairs=(pa.uint64(), "Pairs that have it"),
)
NAME_TEXTS = _table(
    training_set=(pa.string(), "The training set whose texts were searched"),
    name=(pa.string(), "What texts were searched for, such as a class's name of a zero-shot task"),
    language=(pa.string(), "Language of the texts"),
    num_pairs=(pa.uint64(), "Pairs of the shard whose text has it, found as an entry is: as whole words, in its case"),
    num_any_case=(pa.uint64(), "Pairs of the shard whose text has it in whatever case"),
)


def describe_tables() -> str:
    """The reference of all tables, as Markdown."""
    return "\n\n".join(_describe(name, table) for name, table in globals().items() if isinstance(table, pa.Schema))


def _describe(name: str, table: pa.Schema) -> str:
    rows = [f"| {field.name} | `{field.type}` | {field.metadata[b'description'].decode()} |" for field in table]
    return "\n".join([f"## {name}", "", "| column | type | what it holds |", "| --- | --- | --- |", *rows])


if __name__ == "__main__":
    print(describe_tables())  # noqa: T201  # docs/tables.md
