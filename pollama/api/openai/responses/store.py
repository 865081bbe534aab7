"""Conversations that ``previous_response_id`` goes on with: kept in memory, for a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web

from pollama.api.openai.responses.encode import new_number_id
from pollama.errors import BadRequestError
from pollama.types import gojson
from pollama.types.messages import Message

KEPT_SECONDS: Final = 3600.0
MOST_RESPONSES: Final = 1000
MOST_BYTES: Final = 64 << 20

Key = tuple[str, str]
"""Client and response: identifiers are short, so nobody may go on with what somebody else began."""


@dataclass(frozen=True, slots=True)
class _Kept:
    messages: Sequence[Message]
    size: int
    until: float


class ResponseStore:
    """The latest conversations of all clients, bounded in age, number and size; the oldest leave first."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._size = 0

    def keep(self, client: str, identity: str, messages: Sequence[Message]) -> None:
        """Keep a conversation, the answer included."""
        self._forget((client, identity))
        kept = _Kept(list(map(_copy, messages)), sum(map(_size, messages)), self._now() + KEPT_SECONDS)
        self._kept[client, identity] = kept
        self._size += kept.size
        while self._kept and (len(self._kept) > MOST_RESPONSES or self._size > MOST_BYTES):
            self._forget(next(iter(self._kept)))

    def unused_id(self, client: str) -> str:
        """Return an identifier that none of the client's kept responses has."""
        while (client, identity := new_number_id("resp_")) in self._kept:
            pass
        return identity

    def messages(self, client: str, identity: str) -> list[Message]:
        """Return the conversation of a response. Raises BadRequestError for one that is not kept (any more)."""
        self._forget_expired()
        kept = self._kept.get((client, identity))
        if kept is None:
            raise BadRequestError(f"previous_response_id: response {gojson.quote(identity)} not found")
        return list(map(_copy, kept.messages))

    def _forget_expired(self) -> None:
        now = self._now()
        while self._kept and next(iter(self._kept.values())).until <= now:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        self._size -= kept.size if kept else 0


RESPONSE_STORE: Final = web.AppKey("response_store", ResponseStore)


def _copy(message: Message) -> Message:
    """Return a message that may be added to."""
    return replace(message, images=list(message.images), tool_calls=list(message.tool_calls))


def _size(message: Message) -> int:
    """Return about how many bytes a message takes."""
    texts = [message.content, message.thinking, *(gojson.dumps(call.arguments) for call in message.tool_calls)]
    return sum(map(len, texts)) + sum(map(len, message.images))
