"""Which rows the next step computes: a pure decision.

Every sequence that is producing gets its one row first, so a long prompt can never stall it; what is left of the step,
up to a budget, goes to prompts. Who has waited longest comes first, but a short prompt passes a long one: what a prompt
still takes counts against the time that it has waited, so nobody waits for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

import msgspec

_FADING: Final = 0.1
"""Part of what was learnt that each step replaces."""
_SLOWER: Final = 0.5
"""Part of a usual step by which prompts may prolong one that misses its target without them."""
_OF_WAITING: Final = 0.5
"""Part of the time that a prompt has waited which a step for it may take."""
_LONGEST: Final = 8.0
"""How many times its target such a step may take,"""
_LONGER: Final = 2.0
"""or how many times what a step may take for prompts that have not waited."""
_MEMORY: Final = 5.0
"""Seconds of computing after which two thirds of the share of prompts in it are from these seconds."""
_MUCH: Final = 0.5
"""Share of prompts in what is computed from which on their steps are as long as they may be."""
_PASSING: Final = 2.0
"""Seconds by which a prompt may have waited longer, for each second that it takes longer, and be passed."""
_SLOT: Final = attrgetter("slot")


class Demand(msgspec.Struct, frozen=True):
    """What one sequence still has to compute: ``pending`` rows, in KV slot ``slot``.

    ``decoding``: it has produced a token already (a preempted one that is being recomputed has several rows pending).
    ``last``: no media follow these rows, so the next token can be sampled behind them. ``waited``: seconds since it
    has a slot.
    """

    slot: int
    pending: int
    decoding: bool = False
    last: bool = True
    waited: float = 0.0

    @property
    def producing(self) -> bool:
        """Tell whether its next row gives a token."""
        return self.decoding and self.pending == 1


class Chunk(msgspec.Struct, frozen=True):
    """``count`` rows of the sequence in ``slot``; ``output``: they end its prompt, so the next token is sampled."""

    slot: int
    count: int
    output: bool


def plan_step(demands: Sequence[Demand], *, capacity: int, budget: PrefillBudget) -> list[Chunk]:
    """Return the rows of the next step, sorted by slot.

    ``demands`` are in order of arrival; at most ``capacity`` rows in all, and while a sequence is producing at most as
    many prompt rows as ``budget`` says. A demand that gets no row waits.
    """
    decodes: list[Demand] = []
    prompts: list[Demand] = []
    for demand in demands:
        (decodes if demand.producing else prompts).append(demand)
    chunks = [Chunk(demand.slot, 1, output=True) for demand in decodes[:capacity]]
    if prompts:
        room = capacity - len(chunks)
        if chunks:
            room = min(room, budget.rows(len(decodes), max(demand.waited for demand in prompts)))
        chunks += _prefill(budget.ordered(prompts), room)
    return sorted(chunks, key=_SLOT)


def _prefill(demands: Sequence[Demand], room: int) -> list[Chunk]:
    chunks = []
    for demand in demands:
        count = min(demand.pending, room)
        if count <= 0:
            break
        chunks.append(Chunk(demand.slot, count, output=demand.last and count == demand.pending))
        room -= count
    return chunks


class StepTimes:
    """What a step costs: ``fixed`` seconds and so many for each row, a line through the steps of late.

    Weighted least squares; older steps fade. While all steps had as many rows as each other, everything counts as the
    rows' share, which errs towards smaller steps.
    """

    def __init__(self) -> None:
        self._weight = self._rows = self._seconds = 0.0
        self._spread = self._joint = 0.0

    def learn(self, rows: int, seconds: float) -> None:
        """Take in a step."""
        self._weight = 1.0 + (1.0 - _FADING) * self._weight
        share = 1.0 / self._weight
        from_mean = rows - self._rows
        self._rows += share * from_mean
        self._spread = (1.0 - _FADING) * self._spread + from_mean * (rows - self._rows)
        self._joint = (1.0 - _FADING) * self._joint + from_mean * (seconds - self._seconds) * (1.0 - share)
        self._seconds += share * (seconds - self._seconds)

    def line(self) -> tuple[float, float]:
        """Return the seconds of a step without rows and those of a row; both 0 while nothing is known."""
        if self._rows <= 0.0:
            return 0.0, 0.0
        most = self._seconds / self._rows
        row = min(max(self._joint / self._spread, 0.0), most) if self._spread > 0.0 else most
        return self._seconds - row * self._rows, row


class PrefillBudget:
    """How many prompt rows may join a step, so that the step stays short for those that are producing.

    A step with prompt rows aims at ``target`` seconds, or where steps are slow anyway at half a step more than usual.
    It takes longer for a prompt that has waited, and the more of what is computed is prompts: each step computes the
    rows of those that are producing too, so while the prompts that come are much of what the machine can do, short
    steps would compute fewer of them, and let ever more of them wait. The budget is never below ``smallest``; it is
    ``first`` while nothing is known of the machine.
    """

    def __init__(self, *, target: float, smallest: int, first: int, largest: int) -> None:
        self._target = target
        self._smallest = min(smallest, largest)
        self._largest = largest
        self._first = min(first, largest)
        self._times = StepTimes()
        self._share = 0.0

    def rows(self, producing: int, waited: float) -> int:
        """Return the budget of a step, for so many sequences that produce and the prompt that has waited longest."""
        fixed, row = self._times.line()
        if row <= 0.0:
            return self._largest if fixed > 0.0 else self._first
        usual = fixed + row * producing
        room = self._aim(usual, waited) - usual
        return max(self._smallest, int(min(self._largest, room / row)))

    def _aim(self, usual: float, waited: float) -> float:
        """Return the seconds that a step may take which without prompts takes ``usual`` ones."""
        brief = max(self._target, (1.0 + _SLOWER) * usual)
        longest = max(_LONGEST * self._target, _LONGER * brief)
        return max(brief, min(_OF_WAITING * waited, longest), min(self._share / _MUCH, 1.0) * longest)

    def ordered(self, prompts: Sequence[Demand]) -> Sequence[Demand]:
        """Return prompts as they are to be computed, those that came first before others that are alike."""
        _, row = self._times.line()
        return sorted(prompts, key=lambda demand: _PASSING * row * demand.pending - demand.waited)

    def learn(self, rows: int, seconds: float, *, prompts: int = 0) -> None:
        """Take in a step that computed so many rows, ``prompts`` of them for prompts."""
        self._times.learn(rows, seconds)
        _, row = self._times.line()
        taken = min(prompts * row, seconds)
        self._share += (taken - seconds * self._share) / max(_MEMORY, seconds)
