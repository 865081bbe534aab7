"""The waiting tickets, in the order in which they are looked at: fair between clients, first come first served inside.

Start-time fair queueing: every ticket of a client takes a turn one later than its previous one, and a client that
comes back starts at the turn that is being served. So one client's hundred requests let another client's first pass.
"""

from __future__ import annotations

from pollama.scheduler.state import Ticket
from pollama.types.ports import LeaseRequest


class FairQueue:
    """Tickets by id, ordered by turn."""

    def __init__(self) -> None:
        self._tickets: dict[int, Ticket] = {}
        self._last_turns: dict[str, int] = {}
        self._turn = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def __contains__(self, ticket: int) -> bool:
        return ticket in self._tickets

    def push(self, ticket: int, request: LeaseRequest) -> None:
        """Add a ticket behind the others of its client."""
        turn = max(self._turn, self._last_turns.get(request.client, -1) + 1)
        self._last_turns[request.client] = turn
        self._tickets[ticket] = Ticket(ticket, request, turn)

    def ordered(self) -> list[Ticket]:
        """Return the tickets, the next one first."""
        return sorted(self._tickets.values(), key=lambda ticket: (ticket.turn, ticket.id))

    def newest(self) -> int:
        """Return the youngest ticket's id, 0 when nobody waits."""
        return max(self._tickets, default=0)

    def serve(self, ticket: Ticket) -> None:
        """Remove a ticket whose turn has come."""
        self._turn = max(self._turn, ticket.turn)
        self.drop(ticket.id)

    def drop(self, ticket: int) -> None:
        """Remove a ticket that gave up or was refused; unknown ones are ignored."""
        self._tickets.pop(ticket, None)
        self._last_turns = {client: turn for client, turn in self._last_turns.items() if turn >= self._turn}
