"""How each server is asked, and how its stream is read. All get the same prompt, byte for byte, and sample alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from benchmarks.serve.workload import Ask

MODEL: Final = "bench"
_SAMPLED: Final = {"temperature": 0.8, "top_k": 40, "top_p": 0.9, "min_p": 0.0, "repeat_penalty": 1.1}
_GREEDY: Final = {"temperature": 0.0, "top_k": 40, "top_p": 0.9, "min_p": 0.0, "repeat_penalty": 1.0}


@dataclass(frozen=True, slots=True)
class Counts:
    """What the last record of an answer says."""

    prompt_tokens: int
    tokens: int


class Dialect(Protocol):
    """One way to ask for a completion as a stream of records, one per line that is not empty."""

    path: str

    def body(self, ask: Ask) -> bytes:
        """Return the request."""
        ...

    def counts(self, record: bytes) -> Counts | None:
        """Return the counts when ``record`` is the one that has them."""
        ...


def _settings(ask: Ask) -> dict[str, Any]:
    return (_SAMPLED if ask.sampled else _GREEDY) | {"seed": ask.seed, "repeat_last_n": 64}


class Ollama:
    """``/api/generate`` with a raw prompt."""

    path = "/api/generate"

    def body(self, ask: Ask) -> bytes:
        """Return the request."""
        options = _settings(ask) | {"num_predict": ask.tokens}
        request = {"model": MODEL, "prompt": ask.prompt, "raw": True, "stream": True, "options": options}
        return msgspec.json.encode(request | ({"format": ask.schema} if ask.schema else {}))

    def counts(self, record: bytes) -> Counts | None:
        """Return the counts of the last record."""
        if b'"done":true' not in record:
            return None
        fields = msgspec.json.decode(record)
        return Counts(fields["prompt_eval_count"], fields["eval_count"])


class LlamaServer:
    """``/completion`` of llama-server."""

    path = "/completion"

    def body(self, ask: Ask) -> bytes:
        """Return the request."""
        request = _settings(ask) | {"prompt": ask.prompt, "n_predict": ask.tokens, "stream": True}
        return msgspec.json.encode(request | ({"json_schema": ask.schema} if ask.schema else {}))

    def counts(self, record: bytes) -> Counts | None:
        """Return the counts of the last record."""
        if b'"stop":true' not in record:
            return None
        fields = msgspec.json.decode(record.removeprefix(b"data: "))
        return Counts(fields["tokens_evaluated"], fields["tokens_predicted"])


class OpenAI:
    """``/v1/completions``, which both servers have; it knows fewer samplers and no format."""

    path = "/v1/completions"

    def body(self, ask: Ask) -> bytes:
        """Return the request."""
        chosen = {name: _settings(ask)[name] for name in ("temperature", "top_p", "seed")}
        return msgspec.json.encode(
            chosen
            | {"model": MODEL, "prompt": ask.prompt, "max_tokens": ask.tokens, "stream": True}
            | {"stream_options": {"include_usage": True}}
        )

    def counts(self, record: bytes) -> Counts | None:
        """Return the counts of the record behind the answer."""
        if b'"choices":[]' not in record:
            return None
        usage = msgspec.json.decode(record.removeprefix(b"data: "))["usage"]
        return Counts(usage["prompt_tokens"], usage["completion_tokens"])
