"""How much of a growing text can be shown before it is known what follows."""

from __future__ import annotations

from pollama.prompts.parsers.partial import overlap
from pollama.prompts.spaces import GO_SPACES


def settled(buffer: str, *tags: str) -> int:
    """Return the length of what can be released: no beginning of a tag, and no white space that may precede one."""
    return len(buffer[: len(buffer) - overlap(buffer, *tags)].rstrip(GO_SPACES))


def first_tag(buffer: str, *tags: str) -> tuple[int, str]:
    """Return position and text of the tag that comes first, or (-1, "")."""
    places = [(buffer.find(tag), tag) for tag in tags]
    return min((place for place in places if place[0] >= 0), default=(-1, ""))
