"""The answers of /v1/messages, whole and as a stream of content blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from pollama.api.anthropic.errors import envelope, new_id
from pollama.api.streaming import Event, gathered, join_pieces, sse
from pollama.api.web_search import WEB_SEARCH
from pollama.errors import PollamaError
from pollama.types import gojson
from pollama.types.events import Done, Piece
from pollama.types.json import Json
from pollama.types.messages import ToolCall

_STOP_REASONS: Final = {"stop": "end_turn", "length": "max_tokens"}

BlockKind = Literal["text", "thinking"]


class MessageAnswer:
    """One message. ``estimated_tokens`` is the prompt's length as long as the real one is not known.

    ``searches_the_web``: calls of the built-in web search are answered here, by the news that there is none.
    """

    def __init__(self, model: str, *, estimated_tokens: int = 0, searches_the_web: bool = False) -> None:
        self._model = model
        self._estimated_tokens = estimated_tokens
        self._searches_the_web = searches_the_web
        self._id = new_id("msg_")
        self._index = 0
        self._began = False
        self._open: BlockKind | None = None
        self._thought = False
        self._called: set[str] = set()
        self._uses_tools = False

    def event(self, event: Event | None) -> bytes:
        """Return the server-sent events of a part of the answer."""
        if isinstance(event, Piece):
            return self._begin(0) + self._piece(event)
        if isinstance(event, Done):
            return self._begin(event.prompt_tokens) + self._piece(event.last) + self._end(event)
        return b""

    def broken(self, error: PollamaError) -> bytes:
        """Return the error that a failing stream ends with."""
        return sse(gojson.dumps(envelope(error)), "error")

    def _begin(self, prompt_tokens: int) -> bytes:
        if self._began:
            return b""
        self._began = True
        message = {**self._head(), "content": [], "usage": _usage(prompt_tokens or self._estimated_tokens, 0)}
        return _event("message_start", {"message": message})

    def _head(self) -> dict[str, Json]:
        return {"id": self._id, "type": "message", "role": "assistant", "model": self._model}

    def _piece(self, piece: Piece) -> bytes:
        sent = b""
        if piece.thinking and not self._thought:
            sent += self._block("thinking", piece.thinking)
        if piece.content:
            sent += self._block("text", piece.content)
        for call in piece.tool_calls:
            if call.id not in self._called:
                self._called.add(call.id)
                sent += self._close() + self._call(call)
        return sent

    def _block(self, kind: BlockKind, text: str) -> bytes:
        """Return what adds ``text`` to the open block of its kind, or to a new one."""
        opening = b""
        if self._open != kind:
            opening = self._close() + self._start({"type": kind, kind: ""})
            self._open = kind
        # Nearly every token comes here, so this event is not built from a dict.
        delta = f'{{"type":"{kind}_delta","{kind}":{gojson.quote(text)}}}'
        event = f'{{"type":"content_block_delta","index":{self._index},"delta":{delta}}}'
        return opening + sse(event, "content_block_delta")

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        self._thought = self._thought or self._open == "thinking"
        self._open = None
        return self._stop()

    def _call(self, call: ToolCall) -> bytes:
        if self._searches_the_web and call.name == WEB_SEARCH:
            return b"".join(self._start(block) + self._stop() for block in self._search(call))
        self._uses_tools = True
        arguments = gojson.dumps(call.arguments or {})
        started = self._start({"type": "tool_use", "id": call.id, "name": call.name, "input": {}})
        return started + self._delta({"type": "input_json_delta", "partial_json": arguments}) + self._stop()

    def _search(self, call: ToolCall) -> list[dict[str, Json]]:
        """Return the blocks that tell of a search that could not be made."""
        query = (call.arguments or {}).get("query")
        use = f"srvtoolu_{self._id.removeprefix('msg_')}"
        code = "unavailable" if isinstance(query, str) and query else "invalid_request"
        outcome = {"type": "web_search_tool_result_error", "error_code": code}
        return [
            {"type": "server_tool_use", "id": use, "name": WEB_SEARCH, "input": {"query": query or ""}},
            {"type": "web_search_tool_result", "tool_use_id": use, "content": outcome},
        ]

    def _start(self, block: dict[str, Json]) -> bytes:
        return _event("content_block_start", {"index": self._index, "content_block": block})

    def _delta(self, delta: dict[str, Json]) -> bytes:
        return _event("content_block_delta", {"index": self._index, "delta": delta})

    def _stop(self) -> bytes:
        self._index += 1
        return _event("content_block_stop", {"index": self._index - 1})

    def _end(self, done: Done) -> bytes:
        delta = {"stop_reason": _stop_reason(done, uses_tools=self._uses_tools)}
        usage = _usage(done.prompt_tokens, done.generated_tokens)
        return self._close() + _event("message_delta", {"delta": delta, "usage": usage}) + _event("message_stop", {})

    def whole(self, events: Sequence[Event]) -> Json:
        """Return the message object."""
        collected = gathered(events)
        piece, done = join_pieces(collected, all_calls=True), collected.done
        search = next((call for call in piece.tool_calls if self._searches_the_web and call.name == WEB_SEARCH), None)
        uses_tools = bool(piece.tool_calls) and search is None
        reason = {} if done is None else {"stop_reason": _stop_reason(done, uses_tools=uses_tools)}
        return {
            **self._head(),
            "content": (_blocks(piece) if search is None else self._search(search)) or None,
            **reason,
            "usage": _usage(done.prompt_tokens, done.generated_tokens) if done else _usage(0, 0),
        }


def _blocks(piece: Piece) -> list[Json]:
    thinking = [{"type": "thinking", "thinking": piece.thinking}] if piece.thinking else []
    text = [{"type": "text", "text": piece.content}] if piece.content else []
    calls = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments or {}}
        for call in piece.tool_calls
    ]
    return [*thinking, *text, *calls]


def _stop_reason(done: Done, *, uses_tools: bool) -> str:
    return "tool_use" if uses_tools else _STOP_REASONS.get(done.reason, "stop_sequence")


def _usage(prompt_tokens: int, generated_tokens: int) -> dict[str, Json]:
    return {"input_tokens": prompt_tokens, "output_tokens": generated_tokens}


def _event(name: str, fields: dict[str, Json]) -> bytes:
    return sse(gojson.dumps({"type": name, **fields}), name)
