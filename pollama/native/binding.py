"""The one door to the ``llama_cpp`` binding and to ggml.

The binding's own annotations describe C pointers that type checkers cannot follow, so it is untyped here; everything
that leaves ``native`` is typed again.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, Final


def _package() -> ModuleSpec:
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None:
        raise ModuleNotFoundError("No module named 'llama_cpp'", name="llama_cpp")
    return spec


def low_level(name: str) -> Any:
    """Import a module of the package but not the package, whose high-level half takes longer than all the rest.

    What stands in for the package meanwhile is gone afterwards: ``import llama_cpp`` still means what it says.
    """
    package = sys.modules.get("llama_cpp")
    if package is not None:
        return importlib.import_module(f"{package.__name__}.{name}")
    spec = _package()
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module(f"{spec.name}.{name}")
    finally:
        del sys.modules[spec.name]


llama: Final = low_level("llama_cpp")
"""The low-level functions, structures and constants of llama.h."""

LIBRARIES: Final = Path(llama.__file__).parent / "lib"
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
