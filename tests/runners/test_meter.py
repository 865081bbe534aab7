"""Throughput and percentiles of what a replica answers."""

from __future__ import annotations

import pytest

from pollama.runners.meter import Meter, percentiles


class Hands:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hands:
    return Hands()


def test_nothing_was_measured_of_a_replica_that_nobody_asked(clock: Hands) -> None:
    speed = Meter(clock).read()
    assert (speed.throughput, speed.requests, speed.token.p50) == (0, 0, 0)


def test_the_first_token_counts_from_the_request_and_the_others_from_each_other(clock: Hands) -> None:
    meter = Meter(clock)
    answer = meter.begin()
    clock.now += 2
    answer.arrived(1)
    clock.now += 1
    answer.arrived(4)
    speed = meter.read()
    assert (speed.first_token.p50, speed.token.p50, speed.requests) == (2, 0.25, 1)
    assert speed.throughput == pytest.approx(5 / 3)


def test_the_throughput_forgets_what_is_older_than_a_minute(clock: Hands) -> None:
    meter = Meter(clock)
    first, second = meter.begin(), meter.begin()
    first.arrived(600)
    second.arrived(600)
    clock.now += 30
    first.arrived(60)
    assert meter.read().throughput == pytest.approx(1260 / 30)
    clock.now += 45
    assert meter.read().throughput == pytest.approx(1)


def test_percentiles_are_samples() -> None:
    found = percentiles(float(number) for number in range(1, 101))
    assert (found.p50, found.p95, found.p99) == (50, 95, 99)
    assert percentiles([7.0]).p99 == 7
