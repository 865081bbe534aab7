"""Where a model that no replica serves has room: beside all that is loaded, or in the place of some of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from pollama.scheduler.placement import Refusal, place
from pollama.scheduler.policy import Policy
from pollama.scheduler.residency import Memory, departure_order
from pollama.scheduler.scaling import is_as_good
from pollama.scheduler.state import Replica, Ticket
from pollama.types.plans import Plan

_MODELS_PER_GPU: Final = 3
_REMEMBERED: Final = 4096
"""Answers; a plan takes about a kilobyte."""


class Placer:
    """Places models in what ``memory`` has, and remembers the answers.

    All waiting tickets are looked at with every event, planning takes milliseconds, and between two events next to
    nothing changes. ``forget`` is for what does: the devices, the settings, the corrections of predictions.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._answers: dict[tuple[object, ...], Plan | Refusal] = {}

    def forget(self) -> None:
        """Let all questions be answered anew."""
        self._answers.clear()

    def place(self, ticket: Ticket, plans: Sequence[Plan], policy: Policy) -> Plan | Refusal:
        """Return the best plan for a ticket beside ``plans``, or what is missing."""
        stored = ticket.request.model.stored
        question = (stored.short_name, stored.digest, ticket.target, ticket.cautious, *plans)
        answer = self._answers.get(question)
        if answer is None:
            if len(self._answers) >= _REMEMBERED:
                self.forget()
            answer = self._answers[question] = self._placed(ticket, plans, policy)
        return answer

    def _placed(self, ticket: Ticket, plans: Sequence[Plan], policy: Policy) -> Plan | Refusal:
        request, memory = ticket.request, self.memory
        return place(
            request.model,
            request.options,
            memory.spaces(plans),
            policy,
            wish=request.wish,
            known=memory.known,
            reduced=ticket.cautious,
        )


@dataclass(frozen=True, slots=True)
class Room:
    """The devices for one ticket. ``kept`` is the memory that is kept for those before it."""

    ticket: Ticket
    placer: Placer
    policy: Policy
    kept: Sequence[Plan]

    def alone(self) -> Plan | Refusal:
        """Return the best plan there is on devices that hold nothing, or what is missing."""
        return self.placer.place(self.ticket, [], self.policy)

    def beside(self, staying: Collection[Replica], ideal: Plan) -> Plan | None:
        """Return a plan as good as ``ideal`` that leaves ``staying`` and what is kept for others where they are."""
        neighbours = len({replica.key for replica in staying}) + len(self.kept)
        if neighbours >= (1 if self.ticket.cautious else self._most_loaded()):
            return None
        plan = self.placer.place(self.ticket, [*(replica.plan for replica in staying), *self.kept], self.policy)
        return plan if isinstance(plan, Plan) and is_as_good(plan, ideal) else None

    def in_place_of_some(self, staying: Sequence[Replica], ideal: Plan) -> tuple[Plan, list[Replica]] | None:
        """Return a plan and the fewest of ``staying`` that must leave for it, those that are hurt least first."""
        plan = self.beside(staying, ideal)
        victims: list[Replica] = []
        for victim in departure_order(staying):
            if plan is not None:
                break
            victims.append(victim)
            plan = self.beside(_without(staying, victims), ideal)
        if plan is None:
            return None
        for victim in reversed(victims[:-1]):
            spared = _without(victims, [victim])
            found = self.beside(_without(staying, spared), ideal)
            if found is not None:
                plan, victims = found, spared
        return plan, victims

    def _most_loaded(self) -> int:
        gpus = sum(1 for device in self.placer.memory.devices if device.is_gpu)
        return self.policy.max_loaded or _MODELS_PER_GPU * max(1, gpus)


def _without(replicas: Sequence[Replica], leaving: Collection[Replica]) -> list[Replica]:
    return [replica for replica in replicas if replica not in leaving]
