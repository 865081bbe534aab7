"""Which rows the next step computes: a pure decision.

Every sequence that is producing gets its one row first, so a long prompt can never stall it; what is left of the step,
up to a budget, goes to prompts in order of arrival.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

import msgspec

_FADING: Final = 0.3
"""Part of what was learnt that each step replaces."""
_SLOWER: Final = 0.5
"""Part of a usual step by which prompts may prolong one that misses its target without them."""
_SLOT: Final = attrgetter("slot")


class Demand(msgspec.Struct, frozen=True):
    """What one sequence still has to compute: ``pending`` rows, in KV slot ``slot``.

    ``decoding``: it has produced a token already (a preempted one that is being recomputed has several rows pending).
    ``last``: no media follow these rows, so the next token can be sampled behind them.
    """

    slot: int
    pending: int
    decoding: bool = False
    last: bool = True


class Chunk(msgspec.Struct, frozen=True):
    """``count`` rows of the sequence in ``slot``; ``output``: they end its prompt, so the next token is sampled."""

    slot: int
    count: int
    output: bool


def plan_step(demands: Sequence[Demand], *, capacity: int, prefill_budget: int) -> list[Chunk]:
    """Return the rows of the next step, sorted by slot.

    ``demands`` are in order of arrival; at most ``capacity`` rows in all, and at most ``prefill_budget`` prompt rows
    while another sequence is producing. A demand that gets no row waits.
    """
    decodes: list[Demand] = []
    prompts: list[Demand] = []
    for demand in demands:
        (decodes if demand.decoding and demand.pending == 1 else prompts).append(demand)
    chunks = [Chunk(demand.slot, 1, output=True) for demand in decodes[:capacity]]
    room = capacity - len(chunks)
    if chunks:
        room = min(room, prefill_budget)
    chunks += _prefill(prompts, room)
    return sorted(chunks, key=_SLOT)


def _prefill(demands: Sequence[Demand], room: int) -> list[Chunk]:
    chunks = []
    for demand in demands:
        count = min(demand.pending, room)
        if count <= 0:
            continue
        chunks.append(Chunk(demand.slot, count, output=demand.last and count == demand.pending))
        room -= count
    return chunks


class PrefillBudget:
    """How many prompt rows may join a step, so that the step stays short for those that are producing.

    A step with prompt rows aims at ``target`` seconds, or where steps are slow anyway at half a step more than usual;
    the budget is never below ``smallest``. What a prompt row adds is learnt from the steps themselves (averages whose
    older parts fade): their time beyond that of a step without prompt rows.
    """

    def __init__(self, *, target: float, smallest: int, first: int, largest: int) -> None:
        self._target = target
        self._smallest = min(smallest, largest)
        self._largest = largest
        self._first = min(first, largest)
        self._usual = 0.0
        self._prefill_rows = self._prefill_seconds = 0.0

    def rows(self) -> int:
        """Return the budget of the next step."""
        if self._prefill_rows <= 0.0:
            return self._first
        room = max(self._target - self._usual, _SLOWER * self._usual)
        rows, seconds = self._prefill_rows, self._prefill_seconds
        affordable = rows * room / seconds if seconds > 0.0 else self._largest
        return max(self._smallest, int(min(self._largest, affordable)))

    def learn(self, prefill: int, seconds: float) -> None:
        """Take in a step that computed ``prefill`` prompt rows; few of them teach nothing."""
        if not prefill:
            self._usual = seconds if self._usual <= 0.0 else self._usual + _FADING * (seconds - self._usual)
        elif self._usual > 0.0 and prefill >= self._smallest:
            self._prefill_rows += prefill - _FADING * self._prefill_rows
            self._prefill_seconds += max(0.0, seconds - self._usual) - _FADING * self._prefill_seconds
