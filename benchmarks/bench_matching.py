"""Time the search against pyahocorasick as one would first write it and against our automaton, and show its memory.

python -m benchmarks.bench_matching [--entries F] [--texts F | --wat F ...] [--limit N] [--json]

--entries  one entry a line (.txt or .txt.gz); --texts  a Parquet file with a column `text`; --wat  archives, for their
texts; without them and without the larger files that are not tracked, the names of WordNet and the texts of the sample
Times are CPU time of one process, chunks of texts in turn through all three; equal answers are asserted on every chunk.
Loading numba, and compiling where its cache is empty, come before the times and are told apart.
"""

import os
import time
from collections import Counter, deque
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import ahocorasick
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.inputs import SHARED, read_lines, write_sample, write_texts
from benchmarks.measure import Floats, Row, flat, in_fresh_process, options, print_rows, resident_mb, row, take_turns
from metaclip_dagster.matching import build_matcher, index_entries, match_entries, open_matcher, why_unmatchable
from metaclip_dagster.matching.automaton import Automaton
from metaclip_dagster.schemas import ENTRIES
from metaclip_dagster.words.spacing import space_marks
from resources.files.mapped import map_table
from resources.models.language_id import load_identifier

LARGE = SHARED / "bench" / "entries_500k.txt.gz", SHARED / "bench" / "texts_300k.parquet"
NUM_TEXTS_A_CHUNK = 8192


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--entries", type=Path)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--wat", type=Path, nargs="+", help="in place of --texts")
    parser.add_argument("--limit", type=int, help="read so many texts only")
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        is_own = args.entries and (args.texts or args.wat)
        entries, texts = LARGE if is_own or LARGE[0].exists() else write_sample(Path(folder))
        entries, texts = args.entries or entries, args.texts or texts
        names = ", ".join(path.name for path in (entries, *(args.wat or [texts])))
        if args.wat:
            texts = write_texts(Path(folder, "texts.parquet"), args.wat)
        rows = measure(entries, texts, args.limit, names)
    print_rows(rows, args.json)


def measure(entries: Path, texts: Path, limit: int | None, source: str) -> list[Row]:
    """Give the rows; what is said of memory comes from fresh processes, started while this one is small."""
    for path in (entries, texts):
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there; name another with --entries and --texts")
    plain_s, plain_mb = in_fresh_process(_cost_of_building, entries, False)
    tuned_s, tuned_mb = in_fresh_process(_cost_of_building, entries, True)
    compile_s, load_s = in_fresh_process(_cost_of_first_use, True), in_fresh_process(_cost_of_first_use, False)
    once, ten_times = in_fresh_process(_peaks, entries, texts, limit)
    with TemporaryDirectory() as folder:
        index = Path(folder, "index.arrow")
        in_fresh_process(_write_index, entries, index)
        size_mb = index.stat().st_size / 1e6
        open_s = in_fresh_process(_cost_of_opening, index)
        workers = {num: _memory_of_workers(num, index, texts) for num in (1, 2, 4)}
    stage_us, identify_us = in_fresh_process(_cost_of_stage, entries, texts, limit)
    plain_us, automaton_us, tuned_us = _time_chunks(entries, texts, limit)
    low, median, high = np.quantile(plain_us / tuned_us, [0.25, 0.5, 0.75])
    against = np.median(automaton_us / tuned_us)
    num_texts = min(pq.read_metadata(texts).num_rows, limit or (1 << 62))
    described = f"{source}: {len(read_lines(entries)):,} entries, {num_texts:,} texts"
    (one_pss, one_uss), (two_pss, _), (four_pss, four_uss) = (workers[num] for num in (1, 2, 4))
    rows = [
        row("matching", np.median(tuned_us), "us/text", np.median(plain_us), median),
        row("matching, lower quartile of the ratio", low, "x", 1.0, low),
        row("matching, upper quartile of the ratio", high, "x", 1.0, high),
        row("matching, against our automaton", np.median(tuned_us), "us/text", np.median(automaton_us), against),
        row("match_entries, language identification in it", stage_us, "us/text"),
        row("share of match_entries in language identification", 100 * identify_us / stage_us, "%"),
        row("building, checks of ENTRIES included", tuned_s, "s", plain_s, plain_s / tuned_s),
        row("loading numba and compiling, where its cache is empty", compile_s, "s"),
        row("loading numba and what it has cached", load_s, "s"),
        row("size of the index", size_mb, "MB"),
        row("opening the index", open_s, "s"),
        row("memory once built", tuned_mb, "MB", plain_mb, plain_mb / tuned_mb),
        row("memory of 1 worker that maps the index and has searched (PSS)", one_pss, "MB"),
        row("memory of 2 workers (PSS of all)", two_pss, "MB"),
        row("memory of 4 workers (PSS of all)", four_pss, "MB"),
        row("memory that each of 4 workers has for itself (USS)", four_uss / 4, "MB", one_uss, 4 * one_uss / four_uss),
        flat("peak memory of ten times the texts", once, ten_times),
    ]
    return [{**one, "input": described} for one in rows]


def _build_plain(entries: list[str]) -> ahocorasick.Automaton:
    automaton = ahocorasick.Automaton()
    for i, entry in enumerate(entries):
        automaton.add_word(f" {entry} ", (i, entry))
    automaton.make_automaton()
    return automaton


def _match_plain(automaton: ahocorasick.Automaton, texts: list[str]) -> list[list[int]]:
    return [sorted({i for _, (i, _) in automaton.iter(space_marks(text))}) for text in texts]


def _table_of(entries: list[str]) -> pa.Table:
    ids, same = pa.array(range(len(entries)), pa.uint32()), ["en"] * len(entries)
    return pa.table([ids, entries, same, same, ids, [why_unmatchable(entry) for entry in entries]], schema=ENTRIES)


def _cost_of_building(path: Path, tuned: bool) -> tuple[float, float]:
    """CPU seconds and resident megabytes, from the entries in the form that each takes."""
    entries = read_lines(path)
    build = partial(build_matcher, _table_of(entries)) if tuned else partial(_build_plain, entries)
    _warm_up()
    start, before = time.process_time(), resident_mb()
    built = build()
    seconds = time.process_time() - start
    assert built
    return seconds, resident_mb() - before


def _cost_of_first_use(anew: bool) -> float:
    """CPU seconds until a first text is searched."""
    with TemporaryDirectory() as folder:
        if anew:
            os.environ["NUMBA_CACHE_DIR"] = folder
        start = time.process_time()
        _warm_up()
        return time.process_time() - start


def _warm_up() -> None:
    build_matcher(_table_of(["a b"])).engines["en"].match(pa.array(["a b"]))


def _write_index(entries: Path, path: Path) -> None:
    map_table(path, partial(index_entries, _table_of(read_lines(entries))))


def _cost_of_opening(index: Path) -> float:
    _warm_up()
    start = time.process_time()
    open_matcher(map_table(index, _unbuilt))
    return time.process_time() - start


def _unbuilt() -> pa.Table:
    raise FileNotFoundError("the index is not there")


def _memory_of_workers(num_workers: int, index: Path, texts: Path) -> tuple[float, float]:
    """Megabytes by which all workers grow together from opening the index and searching, shared pages once; and own."""
    context, pipes = get_context("spawn"), []
    for _ in range(num_workers):
        reader, writer = context.Pipe()
        context.Process(target=_grow, args=(writer, index, texts), daemon=True).start()
        writer.close()
        pipes.append(reader)
    for phase in ("all have searched", "all have measured"):
        grown = [pipe.recv() for pipe in pipes]
        for pipe in pipes:
            pipe.send(phase)
    pss, uss = np.sum(grown, axis=0)
    return float(pss), float(uss)


def _grow(pipe: Connection, index: Path, texts: Path) -> None:
    _warm_up()
    before = psutil.Process().memory_full_info()
    [engine] = open_matcher(map_table(index, _unbuilt)).engines.values()
    for batch in _stream(texts, 10 * NUM_TEXTS_A_CHUNK, 1):
        engine.match(batch["text"])
    pipe.send("searched")
    pipe.recv()
    after = psutil.Process().memory_full_info()
    pipe.send(((after.pss - before.pss) / 1e6, (after.uss - before.uss) / 1e6))
    pipe.recv()


def _cost_of_stage(entries: Path, texts: Path, limit: int | None) -> tuple[float, float]:
    """Microseconds a text of the stage as the graph runs it, and of identifying languages in it."""
    matcher, identify, spent = build_matcher(_table_of(read_lines(entries))), load_identifier(), [0.0]

    def timed(batch: list[str]) -> tuple[list[str], list[float]]:
        start = time.process_time()
        identified = identify(batch)
        spent[0] += time.process_time() - start
        return identified

    num_texts = min(pq.read_metadata(texts).num_rows, limit or 100_000)
    batches = [*_stream(texts, num_texts, 1)]
    matcher.engines["en"].match(batches[0]["text"])
    start = time.process_time()
    deque(match_entries(batches, matcher=matcher, identify=timed, dropped=Counter()), 0)
    return (time.process_time() - start) * 1e6 / num_texts, spent[0] * 1e6 / num_texts


def _peaks(entries: Path, texts: Path, limit: int | None) -> tuple[float, float]:
    """Resident megabytes at most while the stage runs over a tenth of the texts, then ten times over that."""
    num_texts = (pq.read_metadata(texts).num_rows if limit is None else limit) // 10
    matcher, identify = build_matcher(_table_of(read_lines(entries))), load_identifier()
    once, ten_times = (
        max(
            resident_mb()
            for _ in match_entries(
                _stream(texts, num_texts, times), matcher=matcher, identify=identify, dropped=Counter()
            )
        )
        for times in (1, 10)
    )
    return once, ten_times


def _stream(path: Path, num_texts: int, times: int) -> Iterator[pa.RecordBatch]:
    for _ in range(times):
        left = num_texts
        for batch in pq.ParquetFile(path).iter_batches(NUM_TEXTS_A_CHUNK, columns=["text"]):
            texts = batch["text"][:left]
            left -= len(texts)
            if not len(texts):
                break
            ids, images = pa.array(range(len(texts)), pa.uint64()), pa.array([bytes(12)] * len(texts), pa.binary(12))
            yield pa.record_batch([ids, images, texts], ["pair_id", "image_id", "text"])


def _time_chunks(entries_path: Path, texts_path: Path, limit: int | None) -> tuple[Floats, Floats, Floats]:
    """Microseconds a text, plain, of the automaton and of tokens, of each chunk."""
    entries = read_lines(entries_path)
    texts = pq.read_table(texts_path, columns=["text"])["text"].combine_chunks()[:limit]
    plain = _build_plain(entries)
    automaton = Automaton({entry: i for i, entry in enumerate(entries) if why_unmatchable(entry) is None})
    [tuned] = build_matcher(_table_of(entries)).engines.values()
    tuned.match(texts[:1])
    times = []
    for turn, start in enumerate(range(0, len(texts), NUM_TEXTS_A_CHUNK)):
        chunk = texts[start : start + NUM_TEXTS_A_CHUNK]
        runs = partial(_match_plain, plain, chunk.to_pylist()), partial(automaton.match, chunk)
        seconds, (expected, *others) = take_turns(turn, *runs, partial(tuned.match, chunk))
        for offsets, entry_ids in others:
            assert expected == [entry_ids[start:end].tolist() for start, end in pairwise(offsets)]
        times.append(seconds * 1e6 / len(chunk))
    plain_us, automaton_us, tuned_us = np.transpose(times)
    return plain_us, automaton_us, tuned_us


if __name__ == "__main__":
    main()
