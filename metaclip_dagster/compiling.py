"""Python's loops over arrays as machine code."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function as machine code, which numba keeps on disk; other threads run on beside it."""
    made: Function = numba.njit(function, cache=True, nogil=True, error_model="numpy")
    return made
