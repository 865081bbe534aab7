"""The one door to the ``llama_cpp`` binding and to ggml.

The binding's own annotations describe C pointers that type checkers cannot follow, so it is untyped here; everything
that leaves ``native`` is typed again.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, Final

import llama_cpp
import llama_cpp.llama_cpp as _llama

llama: Final[Any] = _llama
"""The low-level functions, structures and constants of llama.h."""

LIBRARIES: Final = Path(llama_cpp.__file__).parent / "lib"
"""Where the package keeps its shared libraries."""


def ggml(name: str) -> ctypes.CDLL:
    """Return the ggml library ``name`` (``ggml``, ``ggml-base``, ``ggml-rpc``). Raises OSError where there is none."""
    for suffix in (".so", ".dylib", ".dll"):
        for prefix in ("lib", ""):
            path = LIBRARIES / f"{prefix}{name}{suffix}"
            if path.exists():
                return ctypes.CDLL(str(path))
    raise OSError(f"this build of llama-cpp-python has no {name} library")


def declare(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    """Return function ``name`` of ``library`` with its C signature declared."""
    function = library[name]
    function.restype = result
    function.argtypes = list(arguments)
    return function
