"""What the scheduler is told of a prompt before it is rendered: its beginnings and its size.

The tokens are a guess, four characters each; they only choose between replicas.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from pollama.types.messages import Message
from pollama.types.options import Options
from pollama.types.ports import Prefix
from pollama.types.requests import ChatRequest, CompletionRequest, GenerationRequest

_CHARACTERS: Final = 4
_PIECE: Final = 256
"""A prompt without messages is cut into pieces of so many characters."""
_IMAGE_TOKENS: Final = 512
_USUAL_ANSWER: Final = 128
"""Tokens that an answer without a limit is taken to have."""


def prefixes_of(request: GenerationRequest) -> tuple[Prefix, ...]:
    """Return the beginnings of a prompt, shortest first. Equal beginnings have equal keys in one process."""
    if isinstance(request, ChatRequest):
        pieces = _of_chat(request)
    elif isinstance(request, CompletionRequest):
        pieces = _of_completion(request)
    else:
        pieces = iter(())
    return tuple(accumulate(pieces, _behind))


def _behind(before: Prefix, piece: Prefix) -> Prefix:
    return Prefix(hash((before.key, piece.key)), before.tokens + piece.tokens)


def expected_tokens(prefixes: tuple[Prefix, ...], options: Options) -> int:
    """Return about how many tokens a request costs: its prompt and its answer."""
    answer = min(options.num_predict, _USUAL_ANSWER) if options.num_predict > 0 else _USUAL_ANSWER
    return (prefixes[-1].tokens if prefixes else 0) + answer


def _of_chat(request: ChatRequest) -> Iterator[Prefix]:
    tools = repr(request.offered_tools) if request.offered_tools else ""
    yield _piece(request.model, tools)
    yield from map(_of_message, request.messages)


def _of_message(message: Message) -> Prefix:
    written = (message.role, message.content, message.thinking, repr(message.tool_calls))
    text = _piece(*written)
    return Prefix(hash((text.key, *map(hash, message.images))), text.tokens + _IMAGE_TOKENS * len(message.images))


def _of_completion(request: CompletionRequest) -> Iterator[Prefix]:
    yield _piece(request.model, request.template, request.system)
    if request.context:
        yield Prefix(hash(tuple(request.context)), len(request.context))
    yield from (_piece(piece) for piece in _cut(request.prompt))


def _cut(text: str) -> Iterable[str]:
    return (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))


def _piece(*texts: str) -> Prefix:
    return Prefix(hash(texts), sum(map(len, texts)) // _CHARACTERS)
