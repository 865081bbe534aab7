"""One sequence on its way through the engine loop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from pollama.native.media import MediaChunk
from pollama.runners.llamacpp.batch import Demand
from pollama.runners.llamacpp.cache import Slot
from pollama.runners.llamacpp.cells import cells_per_position
from pollama.runners.llamacpp.sampling import TokenChooser
from pollama.runners.llamacpp.shift import ShiftRule
from pollama.runners.llamacpp.text import TokenScore
from pollama.types.generation import FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Where a sequence ends. ``max_tokens`` -1 = none; ``shift``: a full context does not end it."""

    max_tokens: int = -1
    shift: bool = True


@dataclass(slots=True, eq=False, kw_only=True)
class Sequence:
    """``tokens``: the prompt and what was generated, one per position; all but the last are or will be in ``slot``.

    ``media`` are images and audio by the position where they begin; their positions hold placeholders in ``tokens``.
    ``generated`` includes what an earlier run produced. ``cached`` counts cells of the prompt that came from the prefix
    cache; ``saved`` is the memory of a preempted sequence. ``extra_cells`` are those that media take beyond one per
    position.
    Times are of the monotonic clock, in seconds.
    """

    ticket: int
    tokens: list[int]
    limits: Limits
    shift_rule: ShiftRule
    chooser: TokenChooser
    prompt_length: int
    media: Mapping[int, MediaChunk] = field(default_factory=dict)
    alternatives: int | None = None
    generated: int = 0
    cached: int = 0
    slot: Slot | None = None
    saved: bytes | None = None
    pure: int | None = None
    started_at: float | None = None
    first_token_at: float = 0.0
    failures: int = 0
    extra_cells: int = field(init=False)

    @property
    def running_slot(self) -> Slot:
        """The slot of a running sequence."""
        if self.slot is None:
            raise RuntimeError("this sequence does not run")
        return self.slot

    def __post_init__(self) -> None:
        self.extra_cells = sum(chunk.cells - chunk.positions for chunk in self.media.values())

    @property
    def cells(self) -> int:
        """KV cells of all tokens and media, whether they are in memory yet or not."""
        return len(self.tokens) + self.extra_cells

    @property
    def prompt_cells(self) -> int:
        """KV cells of the prompt, which is what clients are told as its tokens."""
        return self.prompt_length + self.extra_cells

    @property
    def pending(self) -> int:
        """Tokens that are not yet in memory, media included."""
        return len(self.tokens) - len(self.running_slot.tokens)

    @property
    def media_due(self) -> MediaChunk | None:
        """The image or audio that has to go into memory next, if one has."""
        return self.media.get(len(self.running_slot.tokens))

    def demand(self, now: float) -> Demand:
        """Return what has to be computed up to the next medium or the end; ``now`` is the monotonic time."""
        computed = len(self.running_slot.tokens)
        end = len(self.tokens)
        if self.media:
            end = min((start for start in self.media if start >= computed), default=end)
        return Demand(
            self.running_slot.index,
            end - computed,
            decoding=self.generated > 0,
            last=end == len(self.tokens),
            waited=now - (self.started_at or now),
        )

    def admitted(self, slot: Slot) -> bool:
        """Begin (or go on) in ``slot``; tell whether it is the beginning."""
        self.slot = slot
        begins = self.started_at is None
        if begins:
            self.started_at = time.monotonic()
            self.cached = sum(cells_per_position(slot.tokens))
        return begins


class PromptUse(msgspec.Struct, frozen=True, kw_only=True):
    """What a prompt cost: tokens (those of media too), of them from the cache, and seconds until the first token."""

    tokens: int
    cached: int
    seconds: float


class TokenEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A sequence has its next token (None: it ended without one). ``reason``: it ends here.

    ``prompt`` comes with the first token; ``at`` is the monotonic clock.
    """

    ticket: int
    token: int | None
    at: float
    score: TokenScore | None = None
    draws: int = 0
    reason: FinishReason | None = None
    prompt: PromptUse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureEvent:
    """A sequence ended in an error."""

    ticket: int
    error: Exception


Event = TokenEvent | FailureEvent


@dataclass(slots=True)
class Counters:
    """What a loop has done so far: batches and their rows, and preemptions.

    ``decoded`` tokens were produced, ``prefilled`` ones computed to go on behind them. Of ``prompts``, ``hits`` began
    with something cached: ``reused`` tokens in all.
    """

    steps: int = 0
    rows: int = 0
    decoded: int = 0
    prefilled: int = 0
    prompts: int = 0
    hits: int = 0
    reused: int = 0
    preemptions: int = 0
