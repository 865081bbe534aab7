"""Records of /api/generate and /api/chat.

Field order and the presence of empty fields are Ollama's. What does not change within an answer is encoded once:
a record is made for every token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pollama.api import timestamps
from pollama.api.messages import encode_tool_call
from pollama.api.streaming import Collected, join_pieces
from pollama.types import gojson
from pollama.types.events import Done, Piece, Rendered
from pollama.types.generation import Logprob
from pollama.types.json import Json
from pollama.types.messages import ToolCall


class Records(Protocol):
    """Turns events into records of one endpoint, without a final line feed."""

    def piece(self, piece: Piece) -> bytes:
        """Return the record of a part of the answer."""
        ...

    def last(self, done: Done) -> bytes:
        """Return the final record."""
        ...

    def rendered(self, rendered: Rendered) -> bytes:
        """Return the answer to ``_debug_render_only``."""
        ...

    def whole(self, collected: Collected) -> bytes:
        """Return the single object of an answer that is not streamed."""
        ...


class GenerateRecords:
    """Records of /api/generate."""

    def __init__(self, model: str) -> None:
        self._head = f'{{"model":{gojson.quote(model)},"created_at":"'

    def piece(self, piece: Piece) -> bytes:
        """Return the record of a part of the answer."""
        thinking = f',"thinking":{gojson.quote(piece.thinking)}' if piece.thinking else ""
        logprobs = f',"logprobs":{_logprobs(piece.logprobs)}' if piece.logprobs else ""
        content = gojson.quote(piece.content)
        return f'{self._stamp()}","response":{content}{thinking},"done":false{logprobs}}}'.encode()

    def last(self, done: Done) -> bytes:
        """Return the final record."""
        return self._final(done.last, done)

    def rendered(self, rendered: Rendered) -> bytes:
        """Return the answer to ``_debug_render_only``."""
        return f'{self._stamp()}","response":"","done":false,"_debug_info":{_debug(rendered)}}}'.encode()

    def whole(self, collected: Collected) -> bytes:
        """Return one object; ``tool_calls`` are those of the very last piece."""
        joined = join_pieces(collected, all_calls=False)
        return self.piece(joined) if collected.done is None else self._final(joined, collected.done)

    def _final(self, piece: Piece, done: Done) -> bytes:
        fields = {
            "response": piece.content,
            **present({"thinking": piece.thinking}),
            "done": True,
            **present({"done_reason": done.reason, "context": done.context}),
            **present(metrics(done)),
            **present({"tool_calls": [encode_tool_call(call) for call in piece.tool_calls]}),
            **present({"logprobs": [encode_logprob(entry) for entry in piece.logprobs]}),
        }
        return f'{self._stamp()}",{gojson.dumps(fields)[1:]}'.encode()

    def _stamp(self) -> str:
        return f"{self._head}{timestamps.utc_now()}"


class ChatRecords:
    """Records of /api/chat. ``with_tools``: the request offered tools, so calls are gathered over all pieces."""

    def __init__(self, model: str, *, with_tools: bool = False) -> None:
        self._head = f'{{"model":{gojson.quote(model)},"created_at":"'
        self._with_tools = with_tools

    def piece(self, piece: Piece) -> bytes:
        """Return the record of a part of the answer."""
        logprobs = f',"logprobs":{_logprobs(piece.logprobs)}' if piece.logprobs else ""
        return f'{self._stamp()}","message":{_assistant(piece)},"done":false{logprobs}}}'.encode()

    def last(self, done: Done) -> bytes:
        """Return the final record."""
        return self._final(done.last, done)

    def rendered(self, rendered: Rendered) -> bytes:
        """Return the answer to ``_debug_render_only``; its message has no role."""
        message = '{"role":"","content":""}'
        return f'{self._stamp()}","message":{message},"done":false,"_debug_info":{_debug(rendered)}}}'.encode()

    def whole(self, collected: Collected) -> bytes:
        """Return one object with everything concatenated."""
        joined = join_pieces(collected, all_calls=self._with_tools)
        return self.piece(joined) if collected.done is None else self._final(joined, collected.done)

    def _final(self, piece: Piece, done: Done) -> bytes:
        fields = {
            "done": True,
            **present({"done_reason": done.reason}),
            **present({"logprobs": [encode_logprob(entry) for entry in piece.logprobs]}),
            **present(metrics(done)),
        }
        return f'{self._stamp()}","message":{_assistant(piece)},{gojson.dumps(fields)[1:]}'.encode()

    def _stamp(self) -> str:
        return f"{self._head}{timestamps.utc_now()}"


def metrics(done: Done) -> dict[str, Json]:
    """Return the counts and durations (nanoseconds) of a final record."""
    return {
        "total_duration": done.total_duration,
        "load_duration": done.load_duration,
        "prompt_eval_count": done.prompt_tokens,
        "prompt_eval_duration": done.prompt_duration,
        "eval_count": done.generated_tokens,
        "eval_duration": done.generate_duration,
    }


def present(fields: dict[str, Json]) -> dict[str, Json]:
    """Return the fields that are not empty (Go's ``omitempty``)."""
    return {key: value for key, value in fields.items() if value}


def encode_logprob(entry: Logprob) -> dict[str, Json]:
    """Return a token's log probability with its alternatives."""
    return {**_token(entry), **present({"top_logprobs": [_token(other) for other in entry.top]})}


def _token(entry: Logprob) -> dict[str, Json]:
    data = entry.data or entry.token.encode()
    return {"token": entry.token, "logprob": entry.logprob, **present({"bytes": list(data)})}


def _logprobs(entries: Sequence[Logprob]) -> str:
    return gojson.dumps([encode_logprob(entry) for entry in entries])


def _debug(rendered: Rendered) -> str:
    return gojson.dumps({"rendered_template": rendered.template, **present({"image_count": rendered.image_count})})


def _assistant(piece: Piece) -> str:
    thinking = f',"thinking":{gojson.quote(piece.thinking)}' if piece.thinking else ""
    calls = f',"tool_calls":{_tool_calls(piece.tool_calls)}' if piece.tool_calls else ""
    return f'{{"role":"assistant","content":{gojson.quote(piece.content)}{thinking}{calls}}}'


def _tool_calls(calls: Sequence[ToolCall]) -> str:
    return gojson.dumps([encode_tool_call(call) for call in calls])
