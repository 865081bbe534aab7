"""The events of a streamed response."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pollama.api.openai.encode import unix_now
from pollama.api.openai.responses.encode import (
    call_arguments,
    call_item,
    message_item,
    new_number_id,
    output_items,
    reasoning_item,
    response_object,
    text_part,
    usage,
)
from pollama.api.streaming import Collected, Event, gathered, join_pieces, sse
from pollama.errors import ForbiddenError, PollamaError, UnauthorizedError
from pollama.types import gojson
from pollama.types.events import Done, Piece
from pollama.types.json import Json
from pollama.types.messages import Message, ToolCall


class ResponseAnswer:
    """One response to a request with ``fields``.

    Its items come in the order reasoning, text, calls, each closed before the next begins; what comes too late for that
    order is left out.
    ``keep`` gets the identifier and the assistant's message when the answer is complete.
    """

    def __init__(
        self, fields: dict[str, Any], *, identity: str, with_tools: bool, keep: Callable[[str, Message], None]
    ) -> None:
        self._fields = fields
        self._with_tools = with_tools
        self._keep = keep
        self._identity = identity
        self._seen: list[Event] = []
        self._sequence = 0
        self._index = 0
        self._reasoning_id = ""
        self._thinking = ""
        self._message_id = ""
        self._text = ""
        self._items: list[Json] = []
        self._calls = 0

    def event(self, event: Event | None) -> bytes:
        """Return the server-sent events of a part of the answer."""
        if event is not None:
            self._seen.append(event)
        begin = self._begin() if self._sequence == 0 and event is not None else b""
        if isinstance(event, Done):
            return begin + self._piece(event.last) + self._end(event)
        return begin + self._piece(event) if isinstance(event, Piece) else begin

    def broken(self, error: PollamaError) -> bytes:
        """Return the event that a failing stream ends with."""
        failed = {
            "id": self._identity,
            "object": "response",
            "status": "failed",
            "model": self._fields.get("model", ""),
            "output": [],
            "error": {"code": _code(error), "message": str(error)},
            "usage": usage(None),
        }
        return self._event("response.failed", response=failed)

    def _begin(self) -> bytes:
        response = self._response([], None, None)
        created = self._event("response.created", response=response)
        return created + self._event("response.in_progress", response=response)

    def _response(self, output: Json, done: Done | None, completed_at: int | None) -> dict[str, Json]:
        response = response_object(
            self._fields,
            identity=self._identity,
            created_at=unix_now(),
            output=output,
            done=done,
            completed_at=completed_at,
        )
        if response["reasoning"] is not None:
            response["reasoning"] = {"effort": None, "summary": None, **response["reasoning"]}
        return response

    def _piece(self, piece: Piece) -> bytes:
        too_late = self._items or self._message_id
        sent = self._think(piece.thinking) if piece.thinking and not too_late else b""
        if piece.tool_calls:
            sent += self._end_reasoning() + self._end_text()
            sent += b"".join(self._call(call) for call in piece.tool_calls)
        elif piece.content and not self._calls:
            sent += self._end_reasoning() + self._say(piece.content)
        return sent

    def _think(self, text: str) -> bytes:
        begin = b""
        if not self._reasoning_id:
            self._reasoning_id = new_number_id("rs_")
            item = {"id": self._reasoning_id, "type": "reasoning", "summary": []}
            begin = self._item_event("added", item)
        self._thinking += text
        return begin + self._event(
            "response.reasoning_summary_text.delta",
            item_id=self._reasoning_id,
            output_index=self._index,
            summary_index=0,
            delta=text,
        )

    def _end_reasoning(self) -> bytes:
        """Close the reasoning item, if there is an open one."""
        if not self._reasoning_id:
            return b""
        item = reasoning_item(self._reasoning_id, self._thinking)
        done = self._event(
            "response.reasoning_summary_text.done",
            item_id=self._reasoning_id,
            output_index=self._index,
            summary_index=0,
            text=self._thinking,
        )
        self._reasoning_id = ""
        return done + self._item_done(item)

    def _say(self, text: str) -> bytes:
        begin = b""
        if not self._message_id:
            self._message_id = new_number_id("msg_")
            item = {**message_item(self._message_id, ""), "status": "in_progress", "content": []}
            begin = self._item_event("added", item) + self._part_event("added", "")
        self._text += text
        return begin + self._text_delta(text)

    def _text_delta(self, text: str) -> bytes:
        """Return the event of ``_text_event``; it is not built from a dict, because nearly every token comes here."""
        name = "response.output_text.delta"
        event = (
            f'{{"content_index":0,"delta":{gojson.quote(text)},"item_id":"{self._message_id}","logprobs":[],'
            f'"output_index":{self._index},"sequence_number":{self._sequence},"type":"{name}"}}'
        )
        self._sequence += 1
        return sse(event, name)

    def _end_text(self) -> bytes:
        """Close the message, if there is an open one."""
        if not self._message_id:
            return b""
        done = self._text_event("done", text=self._text) + self._part_event("done", self._text)
        item = message_item(self._message_id, self._text)
        self._message_id = ""
        return done + self._item_done(item)

    def _call(self, call: ToolCall) -> bytes:
        identity = f"{new_number_id('fc_')}_{self._calls}"
        self._calls += 1
        place = {"item_id": identity, "output_index": self._index}
        arguments = call_arguments(call)
        sent = self._item_event("added", call_item(identity, call, "in_progress"))
        sent += self._event("response.function_call_arguments.delta", **place, delta=arguments)
        sent += self._event("response.function_call_arguments.done", **place, arguments=arguments)
        return sent + self._item_done(call_item(identity, call, "completed"))

    def _end(self, done: Done) -> bytes:
        self._keep_answer(gathered(self._seen))
        closing = self._end_reasoning() + self._end_text()
        response = self._response(self._items or None, done, unix_now())
        return closing + self._event("response.completed", response=response)

    def _item_event(self, what: str, item: dict[str, Json]) -> bytes:
        return self._event(f"response.output_item.{what}", output_index=self._index, item=item)

    def _item_done(self, item: dict[str, Json]) -> bytes:
        event = self._item_event("done", item)
        self._items.append(item)
        self._index += 1
        return event

    def _part_event(self, what: str, text: str) -> bytes:
        place = {"item_id": self._message_id, "output_index": self._index, "content_index": 0}
        return self._event(f"response.content_part.{what}", **place, part=text_part(text))

    def _text_event(self, what: str, **text: str) -> bytes:
        place = {"item_id": self._message_id, "output_index": self._index, "content_index": 0}
        return self._event(f"response.output_text.{what}", **place, **text, logprobs=[])

    def _event(self, name: str, **fields: Json) -> bytes:
        event = gojson.sorted_maps({"type": name, "sequence_number": self._sequence, **fields})
        self._sequence += 1
        return sse(gojson.dumps(event), name)

    def whole(self, events: Sequence[Event]) -> Json:
        """Return the response object."""
        now = unix_now()
        collected = gathered(events)
        piece = self._keep_answer(collected)
        return response_object(
            self._fields,
            identity=self._identity,
            created_at=now,
            output=output_items(piece, self._identity),
            done=collected.done,
            completed_at=now,
        )

    def _keep_answer(self, collected: Collected) -> Piece:
        piece = join_pieces(collected, all_calls=self._with_tools)
        message = Message(
            role="assistant", content=piece.content, thinking=piece.thinking, tool_calls=list(piece.tool_calls)
        )
        self._keep(self._identity, message)
        return piece


def _code(error: PollamaError) -> str:
    """Return the code of a failure: that of the built-in web search where it was refused, else the general one."""
    if isinstance(error, UnauthorizedError):
        return "authentication_error"
    return "api_error" if isinstance(error, ForbiddenError) else "server_error"
