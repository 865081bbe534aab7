"""Order of the queue."""

from __future__ import annotations

from pollama.scheduler.queue import FairQueue
from tests.scheduler.support import make_model, wish

MODEL = make_model()


def order(queue: FairQueue) -> list[int]:
    return [ticket.id for ticket in queue.ordered()]


def test_one_client_is_served_in_order_of_arrival() -> None:
    queue = FairQueue()
    for ticket in range(1, 5):
        queue.push(ticket, wish(MODEL, client="a"))
    assert order(queue) == [1, 2, 3, 4]


def test_clients_take_turns() -> None:
    queue = FairQueue()
    for ticket in range(1, 4):
        queue.push(ticket, wish(MODEL, client="greedy"))
    queue.push(4, wish(MODEL, client="modest"))
    queue.push(5, wish(MODEL, client="modest"))
    assert order(queue) == [1, 4, 2, 5, 3]


def test_client_that_was_away_gets_no_credit_for_it() -> None:
    queue = FairQueue()
    for ticket in range(1, 6):
        queue.push(ticket, wish(MODEL, client="busy"))
    for _ in range(3):
        queue.serve(queue.ordered()[0])
    for ticket in range(6, 9):
        queue.push(ticket, wish(MODEL, client="late"))
    assert order(queue) == [6, 4, 7, 5, 8]


def test_ticket_that_left_is_gone() -> None:
    queue = FairQueue()
    queue.push(1, wish(MODEL))
    queue.push(2, wish(MODEL))
    queue.drop(1)
    queue.drop(99)
    assert order(queue) == [2]
    assert len(queue) == 1
    assert queue.newest() == 2


def test_requests_in_vain_cost_no_turns() -> None:
    queue = FairQueue()
    for ticket in range(1, 301):
        queue.push(ticket, wish(MODEL, client="polite"))
        queue.drop(ticket)
    queue.push(400, wish(MODEL, client="crowd"))
    queue.push(401, wish(MODEL, client="crowd"))
    queue.push(402, wish(MODEL, client="polite"))
    assert order(queue) == [400, 402, 401]


def test_a_dropped_ticket_moves_no_other_one_of_its_client() -> None:
    queue = FairQueue()
    for ticket in (1, 2, 3):
        queue.push(ticket, wish(MODEL, client="one"))
    queue.drop(2)
    queue.push(4, wish(MODEL, client="one"))
    assert order(queue) == [1, 3, 4]
