"""What the answers of the OpenAI dialect are made of."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Final

from pollama.api.ollama.records import encode_logprob, present
from pollama.types import gojson
from pollama.types.events import Done, Rendered
from pollama.types.generation import Logprob
from pollama.types.json import Json
from pollama.types.messages import ToolCall

FINGERPRINT: Final = "fp_ollama"
STREAM_END: Final = b"data: [DONE]\n\n"
_IDS: Final = 999


def new_id(prefix: str, count: int = _IDS) -> str:
    """Return an identifier as Ollama makes them: a small random number behind ``prefix``."""
    return f"{prefix}{random.randrange(count)}"  # noqa: S311 - not a secret


def unix_now() -> int:
    """Return the present second."""
    return int(time.time())


def usage(ended: Sequence[Done]) -> dict[str, Json]:
    """Return the token counts of all choices, which share one prompt; those that did not end have none."""
    prompt = max((done.prompt_tokens for done in ended), default=0)
    generated = sum(done.generated_tokens for done in ended)
    return {"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated}


def finish_reason(done: Done | None, *, called: bool = False) -> str | None:
    """Return why an answer ended; tool calls take the place of ``stop`` only."""
    if done is None:
        return None
    return "tool_calls" if called and done.reason == "stop" else done.reason


def encode_tool_calls(calls: Sequence[ToolCall]) -> list[Json]:
    """Return calls with their arguments as JSON text."""
    return [
        {
            "id": call.id,
            "index": call.index,
            "type": "function",
            "function": {"name": call.name, "arguments": gojson.dumps(call.arguments or {})},
        }
        for call in calls
    ]


def encode_logprobs(entries: Sequence[Logprob]) -> dict[str, Json]:
    """Return the ``logprobs`` of a choice, absent without any."""
    return present({"logprobs": {"content": [encode_logprob(entry) for entry in entries]} if entries else None})


def debug_info(rendered: Rendered) -> dict[str, Json]:
    """Return the answer's ``_debug_info``."""
    return {"rendered_template": rendered.template, **present({"image_count": rendered.image_count})}
