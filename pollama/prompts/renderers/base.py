"""What every built-in renderer is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

from pollama.errors import PollamaError
from pollama.types.messages import Message, Think, Tool


class RenderError(PollamaError):
    """A family's format cannot express the conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderContext:
    """A conversation to turn into a prompt.

    With ``image_tags`` (always, in the server) an image is written ``[img-N]``, N counting from 0 over all
    messages; without, as the family's own placeholder. ``today`` is for families that print the date.
    """

    messages: Sequence[Message]
    tools: Sequence[Tool] = ()
    think: Think = None
    image_tags: bool = True
    today: date = field(default_factory=date.today)


@dataclass(frozen=True, slots=True, kw_only=True)
class RendererFamily:
    """A built-in renderer as the registry lists it.

    ``render`` raises RenderError. ``leading_bos`` is the BOS text that its prompts may begin with.
    """

    render: Callable[[RenderContext], str]
    leading_bos: str = ""
