"""Who has to leave for a model, and answers that are remembered for as long as they are right."""

from __future__ import annotations

from pollama.scheduler.placement import Refusal
from pollama.scheduler.policy import MIB
from pollama.scheduler.residency import Memory
from pollama.scheduler.room import Placer, Room
from pollama.scheduler.state import Replica, Ticket
from pollama.types.model import Model
from pollama.types.plans import Plan
from tests.scheduler.support import TIGHT, cpu, make_model, make_options, make_spec, wish

SMALL = make_spec(layers=8, layer_bytes=128 * MIB)
LARGE = make_spec(layers=8, layer_bytes=384 * MIB)


def placer_with(gib: float) -> Placer:
    memory = Memory(TIGHT)
    memory.read([cpu(gib)], [])
    return Placer(memory)


def ticket_for(model: Model) -> Ticket:
    return Ticket(1, wish(model), turn=0)


def loaded(placer: Placer, number: int, model: Model, last_used: float) -> Replica:
    plan = placer.place(ticket_for(model), [], TIGHT)
    assert isinstance(plan, Plan)
    return Replica(number, model, make_options(), plan, 300, last_used=last_used, state="ready")


def test_a_question_is_answered_once_until_something_changes() -> None:
    placer, ticket = placer_with(4), ticket_for(make_model("a", spec=SMALL))
    first = placer.place(ticket, [], TIGHT)
    assert isinstance(first, Plan)
    assert placer.place(ticket, [], TIGHT) is first
    placer.memory.read([cpu(0.5)], [])
    placer.forget()
    assert isinstance(placer.place(ticket, [], TIGHT), Refusal)


def test_other_neighbours_names_and_needs_are_other_questions() -> None:
    placer, model = placer_with(4), make_model("a", spec=SMALL)
    plan = placer.place(ticket_for(model), [], TIGHT)
    assert isinstance(plan, Plan)
    crowd = [plan] * 3
    assert isinstance(placer.place(ticket_for(model), crowd, TIGHT), Refusal)
    assert isinstance(placer.place(ticket_for(make_model("a", spec=LARGE, weights="b")), [], TIGHT), Plan)
    short = placer.place(Ticket(2, wish(model, num_ctx=512), turn=0), [], TIGHT)
    assert isinstance(short, Plan)
    assert short.context_length == 512


def test_the_fewest_leave_and_of_those_who_was_used_last_stays() -> None:
    placer = placer_with(6)
    here = [loaded(placer, number, make_model(f"m{number}", spec=SMALL), last_used=number) for number in (1, 2, 3)]
    room = Room(ticket_for(make_model("large", spec=LARGE)), placer, TIGHT, kept=[])
    ideal = room.alone()
    assert isinstance(ideal, Plan)
    assert room.beside(here, ideal) is None
    found = room.in_place_of_some(here, ideal)
    assert found is not None
    assert [replica.id for replica in found[1]] == [1]
