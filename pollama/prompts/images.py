"""Where images and audio stand in a prompt: ``[img-N]``, N counting from 0 over the messages that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pollama.types.messages import Message

_PLACEHOLDER = "[img]"


def image_tag(number: int) -> str:
    """Return the tag of the medium with this number."""
    return f"[img-{number}]"


def tag_images(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with a tag in their text for each of their images.

    A tag takes the place of the first ``[img]`` in the text; where there is none it goes in front of the text.
    """
    tagged = []
    number = 0
    for message in messages:
        tags = [image_tag(number + offset) for offset in range(len(message.images))]
        number += len(tags)
        tagged.append(replace(message, content=_with_tags(message.content, tags)) if tags else message)
    return tagged


def _with_tags(content: str, tags: Sequence[str]) -> str:
    prefix = ""
    for tag in tags:
        if _PLACEHOLDER in content:
            content = content.replace(_PLACEHOLDER, tag, 1)
        else:
            prefix += tag
    return prefix + content


def mark_images(text: str, count: int, marker: str) -> str:
    """Return a prompt with the first tag of each of ``count`` media replaced by ``marker``."""
    for number in range(count):
        text = text.replace(image_tag(number), marker, 1)
    return text
