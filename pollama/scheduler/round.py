"""What one pass over the queue has promised so far."""

from __future__ import annotations

from pollama.scheduler.state import ModelKey, Replica, Target, Ticket
from pollama.types.plans import Plan


class Round:
    """``kept`` is memory that is kept for somebody, ``claimed`` are the busy replicas that have to leave for it."""

    def __init__(self) -> None:
        self.waiting: set[Target] = set()
        self.provided: set[int] = set()
        self.promised: set[ModelKey] = set()
        self.claimed: list[Replica] = []
        self.kept: list[Plan] = []
        self.crowded = False
        """Somebody waits for memory."""
        self.due = float("inf")
        """When somebody will have waited for as long as a load takes."""

    def wait(self, ticket: Ticket, *, provided: bool) -> None:
        """Let a ticket wait, and behind it all that need the same; ``provided``: what it waits for is under way."""
        self.waiting.add(ticket.target)
        if provided:
            self.provided.add(ticket.id)
