"""What goes to a runner and what comes back: the runner protocol's payloads.

The same values travel inside the process and, as JSON, over the runner's socket (``runners/client.py``
and ``runners/llamacpp/app.py``; bytes are base64 there), so every field is plain data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pollama.types.json import Json
from pollama.types.speed import Speed

OPEN_SPACE = "\N{OPEN BOX}"
"""In a ``CallFormat``: any white space, or none."""

FinishReason = Literal["stop", "length", "aborted"]
"""``stop``: end token or stop string; ``length``: budget or context; ``aborted``: cancelled by the caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Sampler settings in llama.cpp's terms and standard order. ``seed`` None = random."""

    seed: int | None = None
    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_last_n: int = 64
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: dict[int, float] = field(default_factory=dict)
    """What is added to the logits of token ids before anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFormat:
    """How a model writes the call of a tool: ``tag before NAME between ARGUMENTS behind``.

    ``OPEN_SPACE`` in ``before``, ``between`` and ``behind`` stands for any white space or none; the first two are lists
    of alternatives. Without a tag an answer is a call where it begins like one. ``lead`` is what a model writes in
    front of the tag where nothing else comes first. ``listed``: one tag may begin a JSON list of calls; ``single``:
    nothing may follow a call. ``json`` false: the arguments are in a notation that no grammar holds.
    """

    tag: str
    before: tuple[str, ...] = ("",)
    between: tuple[str, ...] = ("",)
    behind: str = ""
    lead: str = ""
    listed: bool = False
    single: bool = False
    json: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRule:
    """What the calls in an answer have to be: in a format, of known tools, with arguments of their schemas.

    ``tools`` maps names to JSON schemas of arguments; where no grammar can enforce one, any object passes.
    ``required``: the answer begins with a call. Otherwise text may come first, and a thought between two tags, in
    which nothing is a call; ``inside_thought``: the thought has begun in the prompt.
    """

    format: CallFormat
    tools: dict[str, Json]
    required: bool = False
    thought: tuple[str, str] | None = None
    inside_thought: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateJob:
    """One sequence to produce.

    ``prompt`` is text in which special tokens are recognised, with BOS added as the model wants it;
    ``tokens``, when given, is used instead, unchanged. ``media`` are image or audio files; each stands at its
    ``media_marker`` in ``prompt``. ``max_tokens`` -1 = until the context ends. ``keep`` counts the leading
    tokens that a context shift never drops (-1 = all of the prompt); ``shift`` false ends with ``length``
    where the context is full. ``truncate`` true: a prompt longer than the context loses its middle instead of
    being refused. ``format`` None, ``"json"`` or a JSON schema. ``grammar`` is GBNF and excludes ``format``, and both
    exclude ``calls``.
    ``preserved`` are special tokens whose text must appear in the output. ``produced`` are the tokens that a run of
    this very job delivered before it broke off, and ``draws`` the random numbers it had used (both from its deltas):
    the answer goes on behind them, and limits and counts include them.
    """

    prompt: str = ""
    tokens: list[int] | None = None
    media: list[bytes] = field(default_factory=list)
    media_marker: str = ""
    max_tokens: int = -1
    keep: int = 0
    shift: bool = True
    truncate: bool = True
    stop: list[str] = field(default_factory=list)
    sampling: Sampling = field(default_factory=Sampling)
    format: Json = None
    grammar: str = ""
    calls: CallRule | None = None
    top_logprobs: int | None = None
    """None: no logprobs; 0: only the chosen token's; n: also the n best alternatives."""
    preserved: list[str] = field(default_factory=list)
    produced: list[int] = field(default_factory=list)
    draws: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Logprob:
    """Natural log probability of one token; ``data`` is the token's bytes (may be part of a character)."""

    token: str
    logprob: float
    data: bytes = b""
    top: list[Logprob] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """Text that is final: whole characters, no part of a stop string. ``tokens`` are the ids behind it.

    ``draws`` counts the random numbers that the job has used up to here.
    """

    text: str
    tokens: list[int] = field(default_factory=list)
    logprobs: list[Logprob] = field(default_factory=list)
    draws: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The end of a sequence. Durations in seconds; ``prompt_tokens`` includes the ``cached_tokens``."""

    reason: FinishReason
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    prompt_seconds: float = 0.0
    generate_seconds: float = 0.0
    stopped_by: str = ""
    """The stop string that ended the sequence, when one did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceState:
    """The KV memory of a sequence, to go on elsewhere.

    ``data`` is the engine's, for ``tokens``, one per position; ``pure`` of them were computed with nothing but what
    precedes them (None: all; fewer after a context shift). ``layout`` names what two runners must have in common.
    """

    tokens: list[int]
    data: bytes
    layout: str
    pure: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedJob:
    """Token sequences to embed, each with its own special tokens already in place."""

    inputs: list[list[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferUse:
    """Bytes that one device holds for a runner, as the engine reports them."""

    device: str
    weights: int = 0
    kv: int = 0
    compute: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerInfo:
    """Facts of a loaded runner. ``context_length`` is per sequence; ``sequences`` how many run at once."""

    context_length: int
    trained_context: int
    sequences: int
    cells: int
    embedding_length: int
    vocabulary_length: int
    bos: int
    eos: int
    bos_text: str
    eos_text: str = ""
    adds_bos: bool
    adds_eos: bool
    can_shift: bool
    vision: bool = False
    audio: bool = False
    generates: bool = True
    buffers: list[BufferUse] = field(default_factory=list)
    layers_offloaded: int = 0
    layers_total: int = 0
    load_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerUse:
    """What the worker of one ``device`` did for a runner, in seconds since it listens.

    ``busy_seconds`` is processor time of the thread that serves: it sleeps while it has nothing to compute.
    """

    device: str
    busy_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerStatus:
    """A moment in the life of a runner. What is counted is counted since the model was loaded.

    ``busy_seconds`` is the time inside ``llama_decode``, until its results are there. ``computing_seconds`` is the part
    of it in which the runner's own thread computed: where others have stages, the rest is waiting for them.
    ``prefill_tokens`` were computed to go on behind them, ``decoded_tokens`` produced. Of ``prompts``, ``prefix_hits``
    began with something cached: ``prefix_tokens`` in all.
    """

    state: Literal["loading", "ready", "failed"]
    progress: float = 0.0
    """Share of the weights that is loaded, 0 to 1."""
    running: int = 0
    waiting: int = 0
    cells_used: int = 0
    cached_tokens: int = 0
    steps: int = 0
    threads: int = 0
    """With which the processor computes at the moment."""
    busy_seconds: float = 0.0
    computing_seconds: float = 0.0
    decoded_tokens: int = 0
    prefill_tokens: int = 0
    prompts: int = 0
    prefix_hits: int = 0
    prefix_tokens: int = 0
    workers: list[WorkerUse] = field(default_factory=list)
    error: str = ""
    speed: Speed | None = None
    """What was measured where its answers arrive; the runner itself does not know."""
