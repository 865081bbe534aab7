"""The prefix cache: what each KV slot holds, and which slot serves a new prompt best. Pure decisions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Slot:
    """One sequence id of the engine. ``tokens`` are in its memory, one per position (negative: media).

    Tokens behind ``pure`` were computed before earlier ones left the context (a shift); they serve the sequence itself
    but no other. ``last_use`` orders idle slots by age; ``running``: a sequence owns it.
    """

    index: int
    tokens: list[int] = field(default_factory=list)
    pure: int | None = None
    running: bool = False
    last_use: int = 0

    @property
    def reusable(self) -> int:
        """How many tokens other sequences may build on."""
        return len(self.tokens) if self.pure is None else self.pure


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """Return how many leading items are equal."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(frozen=True, slots=True)
class Donor:
    """A slot whose first ``length`` positions are those of a new prompt."""

    slot: Slot
    length: int


def best_donor(slots: Iterable[Slot], tokens: Sequence[int], *, whole: bool = False) -> Donor | None:
    """Return the slot with the longest prefix of ``tokens``, leaving at least one token to compute.

    ``whole``: only idle slots whose memory is used completely (memory that cannot drop a part). Idle slots win ties.
    """
    best: Donor | None = None
    for slot in slots:
        length = _usable_length(slot, tokens)
        if whole and (slot.running or length != len(slot.tokens)):
            continue
        if length > 0 and (best is None or _rank(slot, length) > _rank(best.slot, best.length)):
            best = Donor(slot, length)
    return best


def _usable_length(slot: Slot, tokens: Sequence[int]) -> int:
    """Return how much of a slot serves ``tokens``.

    Behind a shift that is nothing, or all of an idle slot: then a sequence that moved here goes on.
    """
    length = before_media(tokens, min(common_prefix(slot.tokens, tokens), len(tokens) - 1))
    if slot.pure is None or (length == len(slot.tokens) and not slot.running):
        return length
    return min(length, slot.pure)


def before_media(tokens: Sequence[int], length: int) -> int:
    """Return ``length``, or less so that it does not end within an image (a run of one negative number)."""
    while 0 < length < len(tokens) and tokens[length - 1] == tokens[length] < 0:
        length -= 1
    return length


def last_begin(tokens: Sequence[int]) -> int:
    """Return the position where the last token, or the image that the tokens end with, begins."""
    return before_media([*tokens, tokens[-1]], len(tokens)) if tokens[-1] < 0 else len(tokens) - 1


def _rank(slot: Slot, length: int) -> tuple[int, bool, int]:
    return length, not slot.running, slot.last_use


def oldest_idle(slots: Iterable[Slot]) -> Slot | None:
    """Return the idle slot to give up first: an empty one, else the least recently used."""
    idle = [slot for slot in slots if not slot.running]
    return min(idle, key=lambda slot: (bool(slot.tokens), slot.last_use), default=None)


def adjacent_slots(slots: Sequence[Slot]) -> Collection[Slot]:
    """Return the idle slots that keep the running ids consecutive: holes first, else the neighbours of the run.

    Without shared cells, only consecutive ids share a pass of the engine.
    """
    running = [slot.index for slot in slots if slot.running]
    idle = [slot for slot in slots if not slot.running]
    if not running:
        return idle
    low, high = min(running), max(running)
    holes = [slot for slot in idle if low < slot.index < high]
    return holes or [slot for slot in idle if slot.index in (low - 1, high + 1)]
