"""Find where the strings of JSON open and close, 64 bytes at once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.cpython.unsafe.numbers import trailing_zeros
from numba.extending import intrinsic

from metaclip_dagster.compiling import inlined

Bytes = npt.NDArray[np.uint8]
Spans = npt.NDArray[np.int32]
Index = Any  # an unsigned number: with signed ones numba asks at each access whether it counts from the end

U: Any = np.uint64
PADDING = 128  # bytes that are read behind a chunk, and not looked at
_QUOTE, _BACKSLASH, _BLANK, _CAPITAL_I, _U = b'"\\ Iu'
_ESCAPED = np.isin(np.arange(256), [*b'"\\/bfnrtu'])
_HEX_DIGIT = np.isin(np.arange(256), [*b"0123456789abcdefABCDEF"])
_ONES = U(0x0101010101010101)


def _compare(operator: str) -> Any:
    """A function that says which of the 64 bytes from a place on compare so with a byte, as the bits of a number.

    It is written in LLVM's language, for what numba makes of a loop that does this takes three times as long.
    """

    def compare(_: Any, data: Any, at: Any, byte: Any) -> tuple[Any, Callable[..., Any]]:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, args[0])
            vector = ir.VectorType(ir.IntType(8), 64)
            place = builder.bitcast(builder.gep(array.data, [args[1]]), vector.as_pointer())
            first = builder.insert_element(ir.Constant(vector, ir.Undefined), args[2], ir.Constant(ir.IntType(32), 0))
            every = builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64))
            bits = builder.icmp_unsigned(operator, builder.load(place, align=1), every)
            return builder.bitcast(bits, ir.IntType(64))

        return types.uint64(data, types.uint64, types.uint8), generate

    return intrinsic(compare)


_find_equal, _find_below = _compare("=="), _compare("<")


@inlined
def find_quotes(data: Bytes, begin: Index, end: Index, quotes: Spans) -> int:
    """Write where strings open and close; how many quotes, or -1 where it holds controls or is no JSON."""
    num = escaped = U(0)  # `escaped`: the first byte of what follows is
    for at in range(begin, end, U(64)):
        inside = (U(1) << (end - at)) - U(1) if at + U(64) > end else ~U(0)
        if _find_below(data, at, _BLANK) & inside:
            return -1
        bits, slashes = _find_equal(data, at, _QUOTE) & inside, _find_equal(data, at, _BACKSLASH) & inside
        if slashes | escaped:
            after = escaped
            slashes &= ~escaped
            escaped = U(0)
            while slashes:
                here = U(trailing_zeros(slashes))
                if not _is_escape(data, at + here):
                    return -1
                if here == U(63):
                    escaped, slashes = U(1), U(0)
                else:
                    after |= U(2) << here
                    slashes &= (slashes - U(1)) & ~(U(2) << here)
            bits &= ~after
        i = num
        num += _count_bits(bits)
        while bits:  # eight at a time, for the processor cannot guess where such a loop ends
            for _ in range(8):
                quotes[i] = at + U(trailing_zeros(bits))
                bits &= bits - U(1)
                i += U(1)
    return -1 if num & U(1) else int(num)


@inlined
def _count_bits(bits: Index) -> Index:
    bits -= (bits >> U(1)) & (_ONES * U(0x55))
    bits = (bits & (_ONES * U(0x33))) + ((bits >> U(2)) & (_ONES * U(0x33)))
    return (((bits + (bits >> U(4))) & (_ONES * U(0x0F))) * _ONES) >> U(56)


@inlined
def _is_escape(data: Bytes, at: Index) -> bool:
    """Whether a backslash begins an escape, and surely no quote before a word that could be taken for an image's."""
    kind = data[at + U(1)]
    if kind == _U:
        return bool(
            _HEX_DIGIT[data[at + U(2)]]
            and _HEX_DIGIT[data[at + U(3)]]
            and _HEX_DIGIT[data[at + U(4)]]
            and _HEX_DIGIT[data[at + U(5)]]
        )
    return bool(_ESCAPED[kind] and not (kind == _QUOTE and data[at + U(2)] == _CAPITAL_I))
