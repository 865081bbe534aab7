"""Behaviour vectors: inputs with the exact outputs that Ollama gives for them.

A vector is ``{"name", "input", ...}`` with one of ``output``, ``error`` or ``alternatives``.
Set POLLAMA_VECTORS to a folder of ``<name>.json`` files to use another set than the committed one.
"""

from __future__ import annotations

import base64
import json
import lzma
import os
from functools import cache
from pathlib import Path
from typing import Any

Vector = dict[str, Any]
"""One vector, or anything inside one."""

_COMMITTED = Path(__file__).parent / "data"


@cache
def load_json(name: str) -> Any:
    """Return the decoded file ``<name>.json`` of the vector folder; callers must not modify it."""
    folder = os.environ.get("POLLAMA_VECTORS", "")
    if folder:
        return json.loads((Path(folder) / f"{name}.json").read_bytes())
    return json.loads(lzma.decompress((_COMMITTED / f"{name}.json.xz").read_bytes()))


def load_vectors(name: str) -> list[Vector]:
    """Return all vectors of one file, in file order."""
    vectors: list[Vector] = load_json(name)
    return vectors


def load_toolset(tools: str | list[Vector] | None) -> list[Vector]:
    """Return the tools of a vector, which may name an entry of ``toolsets.json``."""
    if tools is None:
        return []
    if isinstance(tools, str):
        toolset: list[Vector] = load_json("toolsets")[tools]
        return toolset
    return tools


def vector_id(vector: Vector) -> str:
    """Return the name by which pytest lists a vector."""
    name: str = vector["name"]
    return name


def as_text(value: str | Vector) -> str:
    """Return a text of a vector; bytes that are not UTF-8 become surrogate escapes."""
    if isinstance(value, str):
        return value
    return base64.b64decode(value["b64"]).decode("utf-8", "surrogateescape")
