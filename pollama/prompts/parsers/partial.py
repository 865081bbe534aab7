"""Tags that may be cut in two by the borders of a stream's parts."""

from __future__ import annotations


def overlap(text: str, *tags: str) -> int:
    """Return the length of the longest end of ``text`` that is a proper beginning of a tag."""
    return max((_overlap(text, tag) for tag in tags), default=0)


def _overlap(text: str, tag: str) -> int:
    for size in range(min(len(text), len(tag) - 1), 0, -1):
        if text.endswith(tag[:size]):
            return size
    return 0
