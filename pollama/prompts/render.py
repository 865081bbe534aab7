"""Prompts: from a model and a conversation, or a bare text to complete, to the text that the engine continues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pollama.prompts.assemble import completion_messages
from pollama.prompts.gotemplate import DEFAULT_TEMPLATE, TemplateValues, parse_template
from pollama.prompts.images import mark_images, tag_images
from pollama.prompts.native import SpecialTexts, render_native
from pollama.prompts.parsers import parser_of
from pollama.prompts.renderers import RenderContext, find_renderer
from pollama.prompts.renderers.resolve import renderer_name
from pollama.types.messages import Message, Think, Tool
from pollama.types.model import Model
from pollama.types.requests import CompletionRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The text to continue, with ``[img-N]`` where the Nth of ``media`` stands.

    ``leading_bos`` is the BOS text that the prompt may begin with; the engine must not get it twice.
    """

    text: str
    media: tuple[bytes, ...] = ()
    leading_bos: str = ""

    def engine_text(self, *, adds_bos: bool, marker: str = "") -> str:
        """Return the text for an engine that adds BOS itself or not, with ``marker`` for every medium."""
        text = self.text
        if adds_bos:
            for bos in filter(None, (self.leading_bos, "<bos>")):
                if text.startswith(bos):
                    text = text.removeprefix(bos)
                    break
        return mark_images(text, len(self.media), marker) if marker else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """All that a prompt depends on. ``messages`` are assembled already.

    ``native`` false renders with the Go template although the model is driven natively.
    """

    model: Model
    messages: Sequence[Message]
    tools: Sequence[Tool] = ()
    think: Think = None
    special: SpecialTexts = field(default_factory=SpecialTexts)
    native: bool = True

    def without_oldest(self, count: int) -> list[Message]:
        """Return the messages that are left when the oldest ``count`` go: system messages among them stay."""
        kept = [message for message in self.messages[:count] if message.role == "system"]
        return [*kept, *self.messages[count:]]

    def prompt(self, dropped: int = 0) -> Prompt:
        """Return the prompt without the oldest ``dropped`` messages. Raises TemplateError or RenderError."""
        messages = self.without_oldest(dropped)
        media = tuple(image for message in messages for image in message.images)
        text, bos = self._render(messages)
        return Prompt(text=_whole_characters(text), media=media, leading_bos=bos)

    def _render(self, messages: Sequence[Message]) -> tuple[str, str]:
        stored, mode = self.model.stored, self.model.traits.mode
        if mode == "native" and self.native:
            template = stored.spec.chat_template if stored.spec else ""
            text = render_native(template, tag_images(messages), self.tools, self.think, self.special)
            return text, self.special.bos
        if stored.config.renderer:
            family = find_renderer(renderer_name(stored))
            return family.render(
                RenderContext(messages=messages, tools=self.tools, think=self.think)
            ), family.leading_bos
        template = DEFAULT_TEMPLATE if stored.template is None else stored.template
        return render_go(template, tag_images(messages), self._shown_tools(), self.think), ""

    def _shown_tools(self) -> Sequence[Tool]:
        """Return the tools with the names that the format allows."""
        family = parser_of(self.model)
        return family.prompt_tools(self.tools) if family and family.prompt_tools else self.tools


def render_go(template: str, messages: Sequence[Message], tools: Sequence[Tool], think: Think) -> str:
    """Return what a Go template makes of a conversation. Raises TemplateError with Go's text."""
    return parse_template(template).render(_values(think, messages=messages, tools=tools))


def completion_conversation(
    model: Model, request: CompletionRequest, think: Think, special: SpecialTexts
) -> Conversation:
    """Return the conversation that a completion request stands for where ``direct_prompt`` gives nothing."""
    return Conversation(
        model=model,
        messages=completion_messages(model, request),
        think=think,
        special=special,
        native=model.traits.selected == "gguf_chat_template",
    )


def direct_prompt(model: Model, request: CompletionRequest, think: Think) -> Prompt | None:
    """Return the prompt of a request in raw mode, with a suffix or with its own template; such a prompt is never cut.

    None = the prompt is that of a conversation. Raises TemplateError.
    """
    media = tuple(request.images)
    if request.raw:
        return Prompt(text=request.prompt, media=media)
    if not (request.suffix or request.template):
        return None
    template = parse_template(request.template or model.stored.template or DEFAULT_TEMPLATE)
    if request.suffix:
        values = _values(think, prompt=request.prompt, suffix=request.suffix)
    else:
        values = _values(think, messages=completion_messages(model, request))
    return Prompt(text=_whole_characters(template.render(values)), media=media)


def _values(
    think: Think,
    *,
    messages: Sequence[Message] = (),
    tools: Sequence[Tool] = (),
    prompt: str = "",
    suffix: str = "",
) -> TemplateValues:
    return TemplateValues(
        messages=messages,
        tools=tools,
        prompt=prompt,
        suffix=suffix,
        think=bool(think),
        think_level=think if isinstance(think, str) else "medium" if think else "",
        is_think_set=think is not None,
    )


def _whole_characters(text: str) -> str:
    """Return ``text`` with bytes joined to characters; what is no character becomes U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if not text.isascii() else text
