"""Compile Python's loops over arrays to machine code, with numba."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """A function as machine code, which numba keeps on disk; other threads run on while it runs.

    Where nothing can be written, beside the module or in the user's cache folder, each process compiles it anew.
    """
    try:
        return _jit(function, cache=True)
    except RuntimeError:  # numba found no place for it
        return _jit(function)


def inlined(function: Function) -> Function:
    """A small function as machine code that goes into the loops that call it: calls would cost thrice as much."""
    return _jit(function, forceinline=True)


def _jit(function: Function, **options: bool) -> Function:
    machine_code: Function = numba.njit(function, nogil=True, error_model="numpy", **options)
    return machine_code
