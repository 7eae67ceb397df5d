"""Open a fastText model file: with loops of our own where they answer as fastText does, else with fastText."""

import logging
import mmap
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from resources.models.fasttext_files import HIERARCHICAL, MOST_COUNTED, PREFIX, SOFTMAX, Layout, Matrix, map_model

if TYPE_CHECKING:
    from resources.models.fasttext_forward import Model

Floats = npt.NDArray[np.float32]
Answer = Callable[[bytes], tuple[npt.NDArray[np.int32], Floats]]
"""Takes lines of text, each with a newline at its end; gives the number of each one's label in the model, -1 for a line
of which it knows nothing, and how sure it is, about 0 to 1."""

_MOST_BYTES = 1 << 26
"""Of a quantised matrix written out, or of the rows of buckets: lid.176.ftz takes 3 MB and 8 MB."""
_NUM_LINES, _MOST_LETTERS = 64, 64
_ODD_LINES = [b"", b" \t", b"\0a\0b\r", b"</s>", b"a </s> b", b"__label__ a", b"__label__en", b"a" * 300, b"\xff\x80<>"]


def open_model(path: str) -> tuple[list[str], Answer]:
    """The labels of a model, and what answers; several times as fast as fastText where our own loops do.

    They do where they give what fastText gives, to the bit. That depends on the platform's compiler and C library, so
    it is tried at once, on lines of the model's own words. Where answers differ, or the model is of a kind that the
    loops do not know, fastText answers, and a warning says why. A plain matrix is mapped and stays in the file.

    Raises FileNotFoundError where there is no file, ValueError for one that is no such model, is not whole, or leads to
    no number (NaN).
    """
    content, layout = map_model(path)
    answer = open_with_fasttext(path, layout.labels)
    why_not = _why_unknown(layout)
    if not why_not:
        lines = _compose_lines(content, layout)
        expected, answer_faster = answer(lines), open_with_loops(path, content, layout)
        if [it.tobytes() for it in expected] == [it.tobytes() for it in answer_faster(lines)]:
            return layout.labels, answer_faster
        why_not = "on this machine our own loops give other numbers than fastText"
    logging.getLogger(__name__).warning("%s: %s; languages are identified with fastText, slower", path, why_not)
    return layout.labels, answer


def open_with_fasttext(path: str, labels: list[str]) -> Answer:
    """Answer with fastText, a line at a time; `labels` are the model's own."""
    import fasttext  # noqa: PLC0415  # for who identifies, not who loads the graph

    # Its own predict(texts) fails on a list, and the call behind that gives no scores: one line at a time.
    predict = fasttext.load_model(path).f.predict
    number_of = {label: number for number, label in enumerate(labels)}

    def answer(lines: bytes) -> tuple[npt.NDArray[np.int32], Floats]:
        try:
            # Nothing is given where the model knows neither a word nor a part of one.
            best = [[*predict(line + b"\n", 1, 0.0, "strict"), (0.0, "")][0] for line in lines.split(b"\n")[:-1]]
        except RuntimeError:
            raise _no_number(path) from None
        numbers = [number_of.get(label.removeprefix(PREFIX), -1) for _, label in best]
        return np.array(numbers, np.int32), np.array([share for share, _ in best], np.float32)

    return answer


def open_with_loops(path: str, content: mmap.mmap, layout: Layout) -> Answer:
    """Answer with our own loops, from a model's mapped file, whatever the platform."""
    from resources.models.fasttext_forward import NO_NUMBER, label_lines  # noqa: PLC0415  # numba: as fasttext

    model = _read_arrays(content, layout)

    def answer(lines: bytes) -> tuple[npt.NDArray[np.int32], Floats]:
        numbers, shares = label_lines(np.frombuffer(lines, np.uint8), lines.count(b"\n"), model)
        if (numbers == NO_NUMBER).any():
            raise _no_number(path)
        return numbers, shares

    return answer


def _no_number(path: str) -> ValueError:
    return ValueError(f"{path}: a fastText model that leads to no number (NaN); download it again")


def _why_unknown(layout: Layout) -> str:
    """Why our own loops cannot answer, or nothing where they can."""
    if layout.loss not in {HIERARCHICAL, SOFTMAX}:
        return "a model of another loss than softmax, flat or hierarchical"
    sizes = [4 * matrix.rows * matrix.columns for matrix in (layout.input, layout.output) if matrix.codes]
    most = max([*sizes, 4 * layout.buckets if layout.pruned else 0])
    if most > _MOST_BYTES:
        return f"a quantised model that would take {most >> 20:,} MB written out, more than {_MOST_BYTES >> 20}"
    return ""


def _compose_lines(content: mmap.mmap, layout: Layout) -> bytes:
    """Lines of the model's own words, of one to five; every third word is joined to the next, so neither is known."""
    lines = _ODD_LINES
    if layout.num_words:
        numbers = np.linspace(0, layout.num_words - 1, 5 * _NUM_LINES).astype(np.int64)
        words = [content[start : min(end, start + _MOST_LETTERS)] for start, end in layout.words[:, numbers].T]
        parted = [word + b" " * (number % 3 > 0) for number, word in enumerate(words)]
        lines = lines + [b"".join(parted[number::_NUM_LINES][: 1 + number % 5]) for number in range(_NUM_LINES)]
    return b"".join(line + b"\n" for line in lines)


def _read_arrays(content: mmap.mmap, layout: Layout) -> "Model":
    from resources.models.fasttext_forward import Model, index_words  # noqa: PLC0415  # numba: as fasttext

    letters = np.frombuffer(content, np.uint8)
    slots = index_words(letters, layout.words, 1 << (2 * layout.words.shape[1]).bit_length())
    rows = None
    if layout.pruned:
        place, num_pruned = layout.pruned
        pairs = np.frombuffer(content, "<i4", 2 * num_pruned, place).reshape(-1, 2)
        pairs = pairs[(pairs[:, 0] >= 0) & (pairs[:, 0] < layout.buckets)]
        rows = np.full(layout.buckets, -1, np.int32)
        rows[pairs[:, 0]] = pairs[:, 1]
    vectors, norms = _read_matrix(content, layout.input)
    if layout.input.codes:
        vectors = vectors * norms[:, None]
        vectors.flags.writeable = False  # as that of a file, for the loops are compiled for each type
    output, norms = _read_matrix(content, layout.output)
    if layout.loss == HIERARCHICAL:
        output, children = np.array(output), _build_tree(layout.label_counts)
    else:
        output, children = np.array(output.T, order="C"), np.zeros((0, 2), np.int32)
    return Model(
        content=letters,
        words=layout.words,
        num_words=layout.num_words,
        slots=slots,
        word_ngrams=layout.word_ngrams,
        buckets=layout.buckets,
        least_letters=layout.least_letters,
        most_letters=layout.most_letters,
        rows=rows,
        vectors=vectors,
        output=output,
        norms=norms,
        children=children,
    )


def _read_matrix(content: mmap.mmap, matrix: Matrix) -> tuple[Floats, Floats]:
    """A matrix, and what each row of it is to be multiplied by."""
    codes, shape = matrix.codes, (matrix.rows, matrix.columns)
    norms = np.ones(matrix.rows, np.float32)
    if not codes:
        return np.frombuffer(content, "<f4", matrix.rows * matrix.columns, matrix.place).reshape(shape), norms
    parts = np.frombuffer(content, np.uint8, matrix.rows * codes.num_parts, matrix.place).reshape(matrix.rows, -1)
    centroids = np.frombuffer(content, "<f4", 256 * matrix.columns, codes.centroids)
    floats = np.empty(shape, np.float32)
    for number in range(codes.num_parts):
        columns = floats[:, number * codes.part : (number + 1) * codes.part]
        lists = centroids[256 * number * codes.part :][: 256 * columns.shape[1]].reshape(256, -1)
        columns[:] = lists[parts[:, number]]
    if codes.norms:
        place, norm_centroids = codes.norms
        of_rows = np.frombuffer(content, np.uint8, matrix.rows, place)
        norms = np.frombuffer(content, "<f4", 256, norm_centroids)[of_rows]
    return floats, norms


def _build_tree(counts: list[int]) -> npt.NDArray[np.int32]:
    """The children of each node of the labels' tree, left and right, as fastText builds it: the rarest joined first."""
    num_labels = len(counts)
    weights = [*counts, *[MOST_COUNTED] * (num_labels - 1)]
    children = np.full((len(weights), 2), -1, np.int32)
    leaf, node = num_labels - 1, num_labels
    for parent in range(num_labels, len(weights)):
        for side in range(2):
            if leaf >= 0 and weights[leaf] < weights[node]:
                children[parent, side], leaf = leaf, leaf - 1
            else:
                children[parent, side], node = node, node + 1
        weights[parent] = sum(weights[child] for child in children[parent])
    return children
