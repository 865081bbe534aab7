"""The waiting tickets, in the order in which they are looked at: fair between clients, first come first served inside.

Start-time fair queueing: every ticket of a client takes a turn one later than its previous one, and a client that
comes back starts at the turn that is being served. So one client's hundred requests let another client's first pass.
"""

from __future__ import annotations

from bisect import insort

from pollama.scheduler.state import Ticket
from pollama.types.ports import LeaseRequest


class FairQueue:
    """Waiting tickets, kept in order."""

    def __init__(self) -> None:
        self._order: list[Ticket] = []
        self._last_turns: dict[str, int] = {}
        self._turn = 0

    def __len__(self) -> int:
        return len(self._order)

    def push(self, ticket: int, request: LeaseRequest, now: float = 0.0) -> None:
        """Add a ticket behind the others of its client, at the monotonic time ``now``."""
        turn = max(self._turn, self._last_turns.get(request.client, -1) + 1)
        self._last_turns[request.client] = turn
        insort(self._order, Ticket(ticket, request, turn, now), key=lambda waiting: (waiting.turn, waiting.id))

    def ordered(self) -> list[Ticket]:
        """Return the tickets, the next one first."""
        return self._order.copy()

    def newest(self) -> int:
        """Return the youngest ticket's id, 0 when nobody waits."""
        return max((ticket.id for ticket in self._order), default=0)

    def serve(self, ticket: Ticket) -> None:
        """Remove a ticket whose turn has come."""
        self._turn = max(self._turn, ticket.turn)
        self._order.remove(ticket)
        self._last_turns = {client: turn for client, turn in self._last_turns.items() if turn >= self._turn}

    def drop(self, ticket: int) -> None:
        """Remove a ticket that gave up or was refused; unknown ones are ignored.

        Its client gets the turn back: who asked in vain is not to wait behind those who did not ask.
        """
        dropped = next((waiting for waiting in self._order if waiting.id == ticket), None)
        if dropped is None:
            return
        self._order.remove(dropped)
        client = dropped.request.client
        turns = [waiting.turn for waiting in self._order if waiting.request.client == client]
        if turns:
            self._last_turns[client] = max(turns)
        else:
            self._last_turns.pop(client, None)
