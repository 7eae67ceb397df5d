"""Python's loops over arrays as machine code."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function as machine code, which numba keeps on disk; other threads run on beside it.

    Where nothing can be written, beside the module or in the user's cache folder, each process compiles it anew.
    """
    try:
        return _jit(function, cache=True)
    except RuntimeError:  # numba found no place for it
        return _jit(function)


def inlined(function: Function) -> Function:
    """The same for a small function, which goes into those that call it: called for every string, one took thrice."""
    return _jit(function, forceinline=True)


def _jit(function: Function, **options: bool) -> Function:
    made: Function = numba.njit(function, nogil=True, error_model="numpy", **options)
    return made
