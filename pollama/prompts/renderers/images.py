"""Where a built-in renderer writes the images of a message."""

from __future__ import annotations

from collections.abc import Sequence

from pollama.prompts.images import image_tag
from pollama.prompts.renderers.base import RenderContext
from pollama.prompts.spaces import GO_SPACES
from pollama.types.messages import Message

_PLACEHOLDER = "[img]"


class ImageWriter:
    """Writes contents with their images: tags that the server knows, or else the family's own placeholder.

    A tag takes the place of an ``[img]`` in the content; the other tags go in front of it, with a space before text.
    Content that has numbered tags already is left as it is.
    """

    def __init__(self, context: RenderContext, placeholder: str) -> None:
        self._tagged = context.image_tags
        self._placeholder = placeholder
        self._first: list[int] = []
        total = 0
        for message in context.messages:
            self._first.append(total)
            total += len(message.images)

    def content(self, index: int, message: Message) -> str:
        """Return the content of the message at ``index`` of the conversation, with its images."""
        if not message.images:
            return message.content
        if not self._tagged:
            return self._placeholder * len(message.images) + message.content
        first = self._first[index]
        return _with_tags(message.content, [image_tag(first + offset) for offset in range(len(message.images))])


def _with_tags(content: str, tags: Sequence[str]) -> str:
    if "[img-" in content:
        return content
    prefix = ""
    for tag in tags:
        if _PLACEHOLDER in content:
            content = content.replace(_PLACEHOLDER, tag, 1)
        else:
            prefix += tag
    gap = " " if prefix and content and content[0] not in GO_SPACES else ""
    return prefix + gap + content
