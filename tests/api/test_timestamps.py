"""Times on the wire."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from pollama.api import timestamps
from pollama.types.requests import FOREVER


@pytest.mark.parametrize(
    ("zone", "moment", "text"),
    [
        ("UTC", 1_700_000_000.0, "2023-11-14T22:13:20Z"),
        ("UTC", 1_700_000_000.5, "2023-11-14T22:13:20.5Z"),
        ("Asia/Kolkata", 1_700_000_000.0, "2023-11-15T03:43:20+05:30"),
        ("America/New_York", 1_690_000_000.0, "2023-07-22T00:26:40-04:00"),
    ],
)
def test_local_times_carry_their_offset(set_zone: Callable[[str], None], zone: str, moment: float, text: str) -> None:
    set_zone(zone)
    assert timestamps.local(moment) == text


def test_for_ever_is_as_far_ahead_as_go_can_count(set_zone: Callable[[str], None]) -> None:
    set_zone("UTC")
    assert re.match(r"23\d\d-", timestamps.local(FOREVER))


def test_now_is_universal_and_without_trailing_zeros() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z", timestamps.utc_now())
