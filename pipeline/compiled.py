"""Compile a function to machine code, once per machine: numba with its cache, wherever a folder can be written.

Compiling costs seconds, loading what was compiled costs milliseconds. Numba keeps the code beside the source or in
the user's cache folder; where neither can be written it compiles in every process. Numba notices a changed source
file, not a changed callee in another file: a compiled function calls only compiled functions of its own file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`function` as machine code, compiled when it is first called. Integers wrap around, bounds are not checked."""
    try:
        fast: Callable[P, R] = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # "cannot cache function": no folder for it can be written
        fast = numba.njit(nogil=True)(function)
    return fast


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """`function` as a part of the compiled functions that call it, in the same file; never compiled by itself."""
    part: Callable[P, R] = numba.njit(inline="always")(function)
    return part
