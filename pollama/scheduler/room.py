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


@dataclass(frozen=True, slots=True)
class Room:
    """The devices for one ticket. ``kept`` is the memory that is kept for those before it."""

    ticket: Ticket
    memory: Memory
    policy: Policy
    kept: Sequence[Plan]

    def alone(self) -> Plan | Refusal:
        """Return the best plan there is on devices that hold nothing, or what is missing."""
        return self._place([])

    def beside(self, staying: Collection[Replica], ideal: Plan) -> Plan | None:
        """Return a plan as good as ``ideal`` that leaves ``staying`` and what is kept for others where they are."""
        neighbours = len({replica.key for replica in staying}) + len(self.kept)
        if neighbours >= (1 if self.ticket.cautious else self._most_loaded()):
            return None
        plan = self._place([*(replica.plan for replica in staying), *self.kept])
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

    def _place(self, plans: Sequence[Plan]) -> Plan | Refusal:
        request = self.ticket.request
        return place(
            request.model,
            request.options,
            self.memory.spaces(plans),
            self.policy,
            wish=request.wish,
            known=self.memory.known,
            reduced=self.ticket.cautious,
        )

    def _most_loaded(self) -> int:
        gpus = sum(1 for device in self.memory.devices if device.is_gpu)
        return self.policy.max_loaded or _MODELS_PER_GPU * max(1, gpus)


def _without(replicas: Sequence[Replica], leaving: Collection[Replica]) -> list[Replica]:
    return [replica for replica in replicas if replica not in leaving]
