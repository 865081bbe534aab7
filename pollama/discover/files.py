"""Small files of the kernel, below ``/proc`` and ``/sys``."""

from __future__ import annotations

from pathlib import Path


def text(path: Path) -> str:
    """Return what a file says, without surrounding spaces; "" when it does not exist or may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def number(path: Path, scale: float = 1.0) -> float | None:
    """Return the number that a file says, divided by ``scale``; None when it says none."""
    try:
        return float(text(path)) / scale
    except ValueError:
        return None


def whole(path: Path) -> int | None:
    """Return the natural number that a file says; None when it says none (the kernel's -1 included)."""
    found = number(path)
    return None if found is None or found < 0 else int(found)
