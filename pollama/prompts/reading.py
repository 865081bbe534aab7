"""How the answer to a prompt is read: which parser, and what that means for the stream and for ``format``."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pollama.errors import TemplateError
from pollama.prompts.calling import call_rule, family_rule
from pollama.prompts.gotemplate import DEFAULT_TEMPLATE, GoTemplate, parse_template
from pollama.prompts.parsers import OutputParser, ParserContext, ParserFamily, find_parser, native, parser_of
from pollama.prompts.parsers.generic import Identified, Stages
from pollama.prompts.parsers.json_calls import json_call_format
from pollama.prompts.parsers.thinking import ThinkingParser
from pollama.prompts.parsers.tools import ToolParser
from pollama.prompts.spaces import trim
from pollama.types.generation import CallRule
from pollama.types.messages import Think
from pollama.types.model import Model
from pollama.types.requests import ChatRequest, CompletionRequest

_LOWER: Final = string.ascii_lowercase + string.digits
_ANY_CASE: Final = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How one answer is read.

    ``parser`` None: the text is the content. ``preserved``: special tokens that the engine must print.
    ``thinks_before_format``: a format may bind only what follows the thinking, so the thinking is generated
    without it. ``sends_empty_pieces``: a part from which the parser releases nothing is still a record;
    ``sends_bare_logprobs``: it is one when it carries log probabilities. ``calls``: what calls have to be like.
    """

    parser: OutputParser | None = None
    preserved: tuple[str, ...] = ()
    thinks_before_format: bool = False
    sends_empty_pieces: bool = True
    sends_bare_logprobs: bool = True
    calls: CallRule | None = None

    @property
    def requires_call(self) -> bool:
        """Whether nothing but a call will do."""
        return self.calls is not None and self.calls.required


def chat_reading(
    model: Model, request: ChatRequest, think: Think, prompt_text: str, *, source: random.Random | None = None
) -> Reading:
    """Return how the answer to a chat is read. ``source`` makes the ids of tool calls.

    Raises BadRequestError where a call is required of a model whose calls have no format that can be required.
    """
    source = source or random.SystemRandom()
    if model.traits.mode == "native":
        return _native_reading(model, request, think, prompt_text, _ids(source, "", 32, _ANY_CASE))
    new_id = _ids(source, "call_", 8, _LOWER)
    family = parser_of(model)
    if family:
        last = request.messages[-1] if request.messages else None
        parser = family.make(ParserContext(tools=request.offered_tools, last_message=last, think=think))
        return Reading(
            parser=Identified(parser, new_id),
            preserved=family.preserved,
            thinks_before_format=_thinks(model) and not (family.thinking and think is False),
            sends_empty_pieces=False,
            calls=family_rule(family, request, prompt_text, thinks=think is not False),
        )
    return _generic_reading(model, request, think, prompt_text, new_id)


def completion_reading(model: Model, request: CompletionRequest, think: Think, prompt_text: str) -> Reading:
    """Return how the answer to a completion is read; only thinking is separated, unless a built-in parser reads it."""
    if request.raw:
        return Reading()
    family = parser_of(model)
    if family:
        # A completion leaves it to the parser what an unset value means; only a chat sets it to on.
        parser = family.make(ParserContext(think=request.think))
        return Reading(parser=parser, preserved=family.preserved, sends_empty_pieces=False)
    return Reading(parser=_thinking_parser(_go_template(model), think, prompt_text))


def content_reading(reading: Reading) -> Reading:
    """Return how the rest of an answer is read that is known to be content."""
    return Reading(preserved=reading.preserved, sends_empty_pieces=False)


def _generic_reading(
    model: Model, request: ChatRequest, think: Think, prompt_text: str, new_id: Callable[[], str]
) -> Reading:
    template = _go_template(model)
    thinking = _thinking_parser(template, think, prompt_text)
    tag = template.tool_tag if request.offered_tools and template else ""
    tools = Identified(ToolParser(tag, request.offered_tools), new_id) if tag else None
    parser = _stages(thinking, tools)
    call_format = json_call_format(tag) if tag else None
    thought = template.thinking_tags if thinking and template else None
    return Reading(
        parser=parser,
        preserved=_token_of_tag(tag),
        thinks_before_format=thinking is not None and _thinks(model),
        sends_empty_pieces=parser is None,
        sends_bare_logprobs=thinking is None or tools is not None,
        calls=call_rule(call_format, request, prompt_text, thought=thought),
    )


def _native_reading(
    model: Model, request: ChatRequest, think: Think, prompt_text: str, new_id: Callable[[], str]
) -> Reading:
    spec = model.stored.spec
    template = spec.chat_template if spec else ""
    last = request.messages[-1] if request.messages else None
    prefill = last.content if last and last.role == "assistant" else ""
    family = _native_family(template, request)
    tags = native.thought_tags(template)
    if family and native.speaks_harmony(template):
        context = ParserContext(tools=request.offered_tools, last_message=last, think=think)
        parser: OutputParser | None = family.make(context)
        calls = family_rule(family, request, prompt_text, thinks=True)
    else:
        thoughts = native.ThoughtSplitter(*tags, inside=trim(prompt_text).endswith(tags[0])) if tags else None
        parser = _stages(thoughts, _native_calls(template, request, family))
        call_format = family.calls if family else json_call_format(native.call_tag(template))
        calls = call_rule(call_format, request, prompt_text, thought=tags, thinks=think is not False)
    if parser:
        parser = native.CallsAtEnd(Identified(parser, new_id))
    return Reading(
        parser=native.Prefilled(parser or native.Verbatim(), prefill) if prefill else parser,
        preserved=family.preserved if family else native.preserved_tokens(template, tags or ()),
        thinks_before_format=_thinks(model) and think is not False and not prefill,
        sends_empty_pieces=parser is None,
        calls=calls,
    )


def _native_calls(template: str, request: ChatRequest, family: ParserFamily | None) -> OutputParser | None:
    if not request.offered_tools:
        return None
    if family:
        return family.make(ParserContext(tools=request.offered_tools, think=False))
    return ToolParser(native.call_tag(template), request.offered_tools)


def _stages(thinking: OutputParser | None, tools: OutputParser | None) -> OutputParser | None:
    return Stages(thinking, tools) if thinking and tools else thinking or tools


def _native_family(template: str, request: ChatRequest) -> ParserFamily | None:
    if native.speaks_harmony(template):
        return find_parser("harmony")
    return find_parser(native.call_family(template)) if request.offered_tools else None


def _thinking_parser(template: GoTemplate | None, think: Think, prompt_text: str) -> ThinkingParser | None:
    """Return the generic thinking parser where it has work; begun thoughts in the prompt are taken up."""
    if not (think and template and all(template.thinking_tags)):
        return None
    parser = ThinkingParser(*template.thinking_tags)
    if trim(prompt_text).endswith(template.thinking_tags[0]):
        parser.feed(template.thinking_tags[0])
    return parser


def _go_template(model: Model) -> GoTemplate | None:
    template = model.stored.template
    try:
        return parse_template(DEFAULT_TEMPLATE if template is None else template)
    except TemplateError:
        return None


def _thinks(model: Model) -> bool:
    return "thinking" in model.capabilities


def _token_of_tag(tag: str) -> tuple[str, ...]:
    """Return the part of a tool tag that may be a special token: a leading ``[...]`` or ``<...>``, or all of it."""
    if tag in ("", "{", "["):
        return ()
    closing = {"[": "]", "<": ">"}.get(tag[0], "")
    end = tag.find(closing) + 1 if closing else 0
    return (tag[:end] if end else tag,)


def _ids(source: random.Random, prefix: str, length: int, alphabet: str) -> Callable[[], str]:
    return lambda: prefix + "".join(source.choices(alphabet, k=length))
