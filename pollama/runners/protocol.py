"""The runner's HTTP interface: paths, bodies and the frames of a streamed generation.

Bodies are JSON of the dataclasses in ``types/generation.py``. What is generated comes on the channel of ``answers.py``,
one JSON frame per line with the number that the request gave to its answer.
Errors keep their class, so that the client raises what the engine raised.
"""

from __future__ import annotations

from typing import Final

import msgspec

from pollama.errors import (
    BadRequestError,
    FormatError,
    GenerationError,
    LoadError,
    PollamaError,
    PromptTooLongError,
    WeightsError,
)
from pollama.types.generation import Delta, Finished
from pollama.types.plans import LoadSpec

STATUS: Final = "/status"
INFO: Final = "/info"
TOKENIZE: Final = "/tokenize"
COUNT_TOKENS: Final = "/count_tokens"
DETOKENIZE: Final = "/detokenize"
GENERATE: Final = "/generate/{number}"
EMBED: Final = "/embed"

MAX_BODY_BYTES: Final = 1 << 30
"""Images and audio travel inside a job."""

_ERRORS: Final = {
    error.__name__: error for error in (BadRequestError, FormatError, LoadError, PromptTooLongError, WeightsError)
}


class TokenizeBody(msgspec.Struct):
    """Body of ``TOKENIZE``."""

    text: str
    add_special: bool = False
    parse_special: bool = True


class TextsBody(msgspec.Struct):
    """Body of ``COUNT_TOKENS``."""

    texts: list[str]


class TokensBody(msgspec.Struct):
    """Body of ``DETOKENIZE`` and answer of ``TOKENIZE``."""

    tokens: list[int]


class CountsBody(msgspec.Struct):
    """Answer of ``COUNT_TOKENS``, in the order of the texts."""

    counts: list[int]


class TextBody(msgspec.Struct):
    """Answer of ``DETOKENIZE``."""

    text: str


class VectorsBody(msgspec.Struct):
    """Answer of ``EMBED``, in the order of the inputs."""

    vectors: list[list[float]]


class ErrorBody(msgspec.Struct):
    """A failure on its way to the client: class name, text and HTTP status."""

    type: str
    message: str
    status: int = 500

    @classmethod
    def of(cls, error: Exception) -> ErrorBody:
        """Describe ``error``; what is not pollama's own is reported by its class and text."""
        if isinstance(error, PollamaError):
            return cls(type(error).__name__, str(error), error.status)
        return cls(GenerationError.__name__, f"{type(error).__name__}: {error}")

    def error(self) -> PollamaError:
        """Return the error that the engine raised; a class without facts of its own becomes a GenerationError."""
        known = _ERRORS.get(self.type)
        return known(self.message) if known else GenerationError(self.message, self.status)


class ServeOrder(msgspec.Struct):
    """What a device worker is told: llama.cpp's name of its device, and for a CPU device cores and threads."""

    device: str
    cores: tuple[int, ...] = ()
    threads: int = 1


class WorkerReady(msgspec.Struct):
    """What a device worker says when it listens."""

    endpoint: str


class Frame(msgspec.Struct, omit_defaults=True):
    """One line of the answer with this number; exactly one of the other fields is set."""

    number: int
    delta: Delta | None = None
    finished: Finished | None = None
    error: ErrorBody | None = None


_spec_decoder = msgspec.json.Decoder(LoadSpec, dec_hook=lambda kind, value: kind(value))
_frame_decoder = msgspec.json.Decoder(Frame)


def encode_frame(number: int, item: Delta | Finished | Exception) -> bytes:
    """Return an item of an answer as one line."""
    if isinstance(item, Delta):
        frame = Frame(number, delta=item)
    elif isinstance(item, Finished):
        frame = Frame(number, finished=item)
    else:
        frame = Frame(number, error=ErrorBody.of(item))
    return msgspec.json.encode(frame) + b"\n"


def decode_frame(line: bytes) -> tuple[int, Delta | Finished | Exception]:
    """Return the number of an answer and what a line carries for it. Raises GenerationError for a damaged line."""
    try:
        frame = _frame_decoder.decode(line)
    except msgspec.DecodeError as error:
        raise GenerationError(f"unexpected response of the runner: {error}") from error
    item = frame.delta or frame.finished or frame.error
    if item is None:
        raise GenerationError("unexpected response of the runner: an empty frame")
    return frame.number, item.error() if isinstance(item, ErrorBody) else item


def encode_spec(spec: LoadSpec) -> bytes:
    """Return ``spec`` as one line of JSON; paths become text."""
    return msgspec.json.encode(spec, enc_hook=str) + b"\n"


def decode_spec(line: bytes) -> LoadSpec:
    """Return the LoadSpec of a line. Raises msgspec.DecodeError naming the field that is wrong."""
    return _spec_decoder.decode(line)
