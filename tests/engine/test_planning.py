"""The pure decisions: rows of a step, arithmetic of shifts, cells, choice of a slot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pollama.runners.llamacpp.batch import Demand, PrefillBudget, plan_step
from pollama.runners.llamacpp.cache import Slot, adjacent_slots, best_donor, common_prefix, oldest_idle
from pollama.runners.llamacpp.cells import CellLedger
from pollama.runners.llamacpp.shift import cut_prompt, discard, target_length

demand_lists = st.lists(st.tuples(st.integers(1, 300), st.booleans(), st.floats(0, 9)), max_size=20).flatmap(
    lambda items: st.permutations(range(len(items))).map(
        lambda slots: [
            Demand(slot, pending, decoding, waited=waited)
            for slot, (pending, decoding, waited) in zip(slots, items, strict=True)
        ]
    )
)


def new_budget(*steps: tuple[int, float]) -> PrefillBudget:
    """Return a budget of 16 to 512 rows, at first 64, that aims at 100 ms and has seen ``steps`` (rows, seconds)."""
    budget = PrefillBudget(target=0.1, smallest=16, first=64, largest=512)
    for rows, seconds in steps:
        budget.learn(rows, seconds)
    return budget


def line(fixed: float, row: float) -> list[tuple[int, float]]:
    """Return steps of a machine that takes ``fixed`` seconds and ``row`` for each row."""
    return [(rows, fixed + row * rows) for rows in (1, 16, 100, 4, 60)] * 10


@given(demand_lists, st.integers(20, 200), st.floats(0.0, 0.05), st.floats(0.0, 0.01))
def test_a_step_serves_all_who_produce_and_stays_within_its_room(
    demands: list[Demand], capacity: int, fixed: float, row: float
) -> None:
    budget = new_budget(*line(fixed, row))
    chunks = plan_step(demands, capacity=capacity, budget=budget)
    by_slot = {chunk.slot: chunk for chunk in chunks}
    decoding = [demand for demand in demands if demand.producing]
    waited = max((demand.waited for demand in demands if not demand.producing), default=0.0)
    assert [chunk.slot for chunk in chunks] == sorted(by_slot)
    assert sum(chunk.count for chunk in chunks) <= capacity
    assert all(by_slot[demand.slot].count == 1 for demand in decoding)
    prompt_rows = sum(chunk.count for chunk in chunks) - len(decoding)
    assert not decoding or prompt_rows <= budget.rows(len(decoding), waited)
    for demand in demands:
        chunk = by_slot.get(demand.slot)
        assert chunk is None or chunk.output == (chunk.count == demand.pending)
    assert not demands or chunks


@given(demand_lists, st.integers(20, 200))
def test_of_prompts_of_one_length_who_has_waited_longest_is_served_first(demands: list[Demand], capacity: int) -> None:
    alike = [Demand(demand.slot, 50, waited=int(demand.waited)) for demand in demands]
    served = {chunk.slot: chunk for chunk in plan_step(alike, capacity=capacity, budget=new_budget())}
    prompts = sorted(alike, key=lambda demand: -demand.waited)
    complete = [served[demand.slot].output if demand.slot in served else False for demand in prompts]
    assert complete == sorted(complete, reverse=True)


def first_served(*demands: Demand) -> int:
    """Return the slot that gets all rows of a small step beside a stream, on a machine with 1 ms per row."""
    chunks = plan_step([Demand(9, 1, decoding=True), *demands], capacity=17, budget=new_budget(*line(0.01, 0.001)))
    (slot,) = {chunk.slot for chunk in chunks} - {9}
    return slot


def test_a_short_prompt_passes_a_long_one_that_came_before() -> None:
    long, short = Demand(0, 300, waited=0.2), Demand(1, 16)
    assert first_served(long, short) == 1
    assert first_served(Demand(0, 300), Demand(1, 300)) == 0


def test_a_long_prompt_that_has_waited_is_not_passed_any_more() -> None:
    assert first_served(Demand(0, 300, waited=0.5), Demand(1, 16)) == 1
    assert first_served(Demand(0, 300, waited=0.5), Demand(1, 150)) == 0
    assert first_served(Demand(0, 300, waited=2.0), Demand(1, 16)) == 0


def test_the_prefill_budget_follows_the_speed_of_the_machine() -> None:
    assert new_budget().rows(1, 0.0) == 64
    assert new_budget(*line(0.01, 0.001)).rows(10, 0.0) in {79, 80}
    assert new_budget(*line(0.01, 0.0001)).rows(10, 0.0) == 512
    assert new_budget(*line(0.0, 0.02)).rows(1, 0.0) == 16
    assert new_budget(*line(0.001, 0.0)).rows(1, 0.0) == 512


def test_steps_that_are_all_alike_are_the_rows_own() -> None:
    assert new_budget(*[(20, 0.02)] * 30).rows(20, 0.0) in {79, 80}


def test_the_prefill_budget_forgets_what_was() -> None:
    assert new_budget(*line(0.01, 0.01), *line(0.01, 0.001), *line(0.01, 0.001)).rows(10, 0.0) in range(75, 85)


def test_prompts_prolong_steps_that_are_slow_anyway_by_half() -> None:
    assert new_budget(*line(0.1, 0.01)).rows(30, 0.0) in {19, 20}


def test_prompts_that_have_waited_get_longer_steps_up_to_a_limit() -> None:
    budget = new_budget(*line(0.01, 0.002))
    assert budget.rows(10, 0.6) in {134, 135}
    assert budget.rows(10, 60.0) in {384, 385}


def test_where_steps_are_slow_anyway_prompts_that_have_waited_get_longer_ones_too() -> None:
    assert new_budget(*line(0.1, 0.01)).rows(30, 60.0) in {79, 80}


def test_steps_get_longer_while_much_of_what_is_computed_is_prompts() -> None:
    budget = new_budget(*line(0.01, 0.002))
    for _ in range(100):
        budget.learn(100, 0.21, prompts=30)
    assert budget.rows(10, 0.0) in range(200, 220)  # 0.29 of the time, which is 0.57 of a half, of 0.8 s
    for _ in range(100):
        budget.learn(100, 0.21, prompts=80)
    assert budget.rows(10, 0.0) in {384, 385}


def test_one_prompt_beside_streams_does_not_make_steps_long_at_once() -> None:
    budget = new_budget(*line(0.01, 0.001))
    for _ in range(5):
        budget.learn(100, 0.11, prompts=80)
    assert budget.rows(10, 0.0) < 120


@given(st.lists(st.tuples(st.integers(1, 512), st.floats(0, 10)), max_size=30), st.integers(1, 64), st.floats(0, 100))
def test_the_prefill_budget_stays_within_its_bounds(
    steps: list[tuple[int, float]], producing: int, waited: float
) -> None:
    assert 16 <= new_budget(*steps).rows(producing, waited) <= 512


@pytest.mark.parametrize(
    ("context", "keep", "expected"),
    [(8, 3, 6), (4096, 4, 2050), (4096, 5, 2051), (8, 99, 7), (8, -1, 4), (1, 0, 0)],
)
def test_length_that_a_long_prompt_is_cut_to(context: int, keep: int, expected: int) -> None:
    assert target_length(context, keep) == expected


def test_a_long_prompt_loses_its_middle() -> None:
    assert cut_prompt(list(range(10)), 8, 3, adds_bos=False) == [0, 1, 2, 7, 8, 9]
    assert cut_prompt(list(range(10)), 8, 2, adds_bos=True) == [0, 1, 2, 7, 8, 9]
    assert cut_prompt(list(range(7)), 8, 3, adds_bos=False) == list(range(7))
    assert cut_prompt(list(range(10)), 8, -1, adds_bos=False) == list(range(7))


@given(st.integers(2, 300), st.integers(-1, 400), st.integers(0, 400), st.booleans())
def test_a_cut_prompt_fits_and_keeps_both_ends(context: int, keep: int, length: int, adds_bos: bool) -> None:
    tokens = list(range(length))
    cut = cut_prompt(tokens, context, keep, adds_bos=adds_bos)
    assert len(cut) <= context - 1
    assert cut == sorted(set(cut))
    if len(tokens) < context:
        assert cut == tokens
    elif keep >= 0:
        assert cut[: min(keep, context - 1)] == tokens[: min(keep, context - 1)]


@given(st.integers(4, 300), st.integers(-1, 400), st.integers(1, 400), st.booleans())
def test_a_shift_drops_something_and_keeps_what_it_must(context: int, keep: int, prompt: int, adds_bos: bool) -> None:
    length = context - 1
    gone = discard(length, context, keep, prompt, adds_bos=adds_bos)
    kept = (prompt if keep < 0 else keep) + adds_bos
    assert 0 <= gone.start < gone.end <= length
    assert gone.start == min(kept, context - 4, length - 1)
    assert gone.count == max((length - gone.start) // 2, 1)


@given(st.lists(st.integers(0, 2), max_size=40), st.lists(st.integers(0, 2), max_size=40))
def test_common_prefix(left: list[int], right: list[int]) -> None:
    length = common_prefix(left, right)
    assert left[:length] == right[:length]
    assert length == min(len(left), len(right)) or left[length] != right[length]


def test_the_longest_prefix_is_taken_and_one_token_is_left_to_compute() -> None:
    slots = [Slot(0, [1, 2]), Slot(1, [1, 2, 3, 4], running=True), Slot(2, [1, 2, 3, 9])]
    best = best_donor(slots, [1, 2, 3, 4])
    assert best is not None
    assert (best.slot.index, best.length) == (2, 3)
    assert best_donor(slots, [5]) is None
    assert best_donor([Slot(0, [7])], [7]) is None


def test_memory_that_cannot_drop_a_part_is_only_taken_whole() -> None:
    slots = [Slot(0, [1, 2, 3]), Slot(1, [1, 2], last_use=1), Slot(2, [1, 2, 4], running=True)]
    best = best_donor(slots, [1, 2, 4, 5], whole=True)
    assert best is not None
    assert (best.slot.index, best.length) == (1, 2)


def test_what_follows_a_shift_is_not_reused() -> None:
    best = best_donor([Slot(0, [1, 2, 3, 4], pure=2, running=True)], [1, 2, 3, 4, 5])
    assert best is not None
    assert best.length == 2


def test_a_shifted_sequence_that_moved_here_goes_on_whole() -> None:
    moved = [Slot(0, [1, 2, 3, 4], pure=2)]
    whole, other = best_donor(moved, [1, 2, 3, 4, 5]), best_donor(moved, [1, 2, 3, 9])
    assert whole is not None
    assert whole.length == 4
    assert other is not None
    assert other.length == 2


def test_empty_slots_are_given_up_first_then_the_least_recently_used() -> None:
    slots = [Slot(0, [1], last_use=2), Slot(1, [1], last_use=1), Slot(2, [1], running=True)]
    oldest = oldest_idle(slots)
    assert oldest is not None
    assert oldest.index == 1
    empty = oldest_idle([*slots, Slot(3, last_use=9)])
    assert empty is not None
    assert empty.index == 3


@given(st.sets(st.integers(0, 11), min_size=1, max_size=11))
def test_running_ids_are_kept_together(running: set[int]) -> None:
    slots = [Slot(index, running=index in running) for index in range(12)]
    low, high = min(running), max(running)
    chosen = {slot.index for slot in adjacent_slots(slots)}
    holes = set(range(low, high)) - running
    assert chosen == (holes or {low - 1, high + 1} & set(range(12)))


def distinct(*sequences: list[list[object]]) -> int:
    """Return how many cells the positions of ``sequences`` have together."""
    return len({cell for positions in sequences for cells in positions for cell in cells})


class Ledger(RuleBasedStateMachine):
    """The ledger against a model that knows every cell."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = CellLedger()
        self.cells: dict[int, list[list[object]]] = {sequence: [] for sequence in range(4)}

    @rule(sequence=st.integers(0, 3), counts=st.lists(st.integers(0, 4), max_size=5))
    def extend(self, sequence: int, counts: list[int]) -> None:
        self.ledger.extend(sequence, counts)
        self.cells[sequence] += [[object() for _ in range(count)] for count in counts]

    @precondition(lambda self: any(not cells for cells in self.cells.values()))
    @rule(source=st.integers(0, 3), count=st.integers(0, 6))
    def share(self, source: int, count: int) -> None:
        target = next(sequence for sequence, cells in self.cells.items() if not cells)
        if target != source:
            self.ledger.share(source, target, count)
            self.cells[target] = self.cells[source][:count]

    @rule(sequence=st.integers(0, 3), start=st.integers(0, 6), length=st.integers(0, 6))
    def drop(self, sequence: int, start: int, length: int) -> None:
        self.ledger.drop(sequence, start, start + length)
        del self.cells[sequence][start : start + length]

    @invariant()
    def counts_every_cell_once(self) -> None:
        assert self.ledger.used == distinct(*self.cells.values())
        assert self.ledger.used_by({0, 2}) == distinct(self.cells[0], self.cells[2])


TestLedger = Ledger.TestCase
