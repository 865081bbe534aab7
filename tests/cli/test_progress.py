"""Bars and spinners."""

from __future__ import annotations

import io
import re

import pytest

from pollama.cli.progress import Bar, Progress, Spinner, StatusLines, remaining


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still; set its only item to move it."""
    now = [100.0]
    monkeypatch.setattr("pollama.cli.progress.time.monotonic", lambda: now[0])
    return now


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("total", "line"),
    [
        (5_200_000_000, "pulling 63c9be0cc3d5: 100% ▕██████████████████▏ 5.2 GB                         "),
        (53, "pulling 63c9be0cc3d5: 100% ▕██████████████████▏   53 B                         "),
    ],
)
def test_a_finished_bar(total: int, line: str) -> None:
    bar = Bar("pulling 63c9be0cc3d5:", total, 0)
    bar.set(total)
    assert bar.render(80) == line


def test_a_bar_tells_rate_and_remaining_time(clock: list[float]) -> None:
    bar = Bar("pulling 63c9be0cc3d5:", 2_000_000_000, 0)
    clock[0] += 3
    bar.set(370_000_000)
    assert bar.render(80) == "pulling 63c9be0cc3d5:  18% ▕███               ▏ 370 MB/  2 GB  123 MB/s     13s"


@pytest.mark.usefixtures("clock")
def test_a_bar_that_has_no_rate_yet_keeps_its_width() -> None:
    bar = Bar("pulling 63c9be0cc3d5:", 2_000_000_000, 0)
    bar.set(370_000_000)
    assert bar.render(80) == "pulling 63c9be0cc3d5:  18% ▕███               ▏ 370 MB/  2 GB" + " " * 18


@pytest.mark.usefixtures("clock")
def test_a_bar_without_room_has_no_fill() -> None:
    assert "▕▏" in Bar("pulling 63c9be0cc3d5:", 10, 0).render(30)


@pytest.mark.parametrize(
    ("seconds", "text"), [(13, "13s"), (90, "1m30s"), (3600, "1h0m"), (7260, "2h1m"), (360000, "99h+")]
)
def test_the_remaining_time_is_short(seconds: int, text: str) -> None:
    assert remaining(seconds) == text


def test_a_spinner_turns_ten_times_a_second_until_it_stops(clock: list[float]) -> None:
    spinner = Spinner("pulling manifest")
    frames = [spinner.render(80)]
    clock[0] += 0.15
    frames.append(spinner.render(80))
    spinner.stop()
    assert [*frames, spinner.render(80)] == ["pulling manifest ⠋ ", "pulling manifest ⠙ ", "pulling manifest "]


def test_a_stopped_display_keeps_its_last_state() -> None:
    stream = io.StringIO()
    with Progress(stream) as shown:
        shown.add(Spinner("one"))
        shown.add(Spinner("two"))
    final = stream.getvalue().rpartition("\x1b[?2026h")[2]
    assert final.endswith("\x1b[1Gone \x1b[K\ntwo \x1b[K\x1b[?25h\x1b[?2026l\n")


def test_a_cleared_display_leaves_nothing() -> None:
    stream = io.StringIO()
    with Progress(stream, clear=True) as shown:
        shown.add(Spinner("one"))
        shown.add(Spinner("two"))
    assert stream.getvalue().endswith("\x1b[2K\x1b[1G\x1b[A\x1b[2K\x1b[1G\x1b[?25h")


def test_stopping_twice_draws_once() -> None:
    stream = io.StringIO()
    with Progress(stream) as shown:
        shown.add(Spinner("one"))
        shown.stop()
        drawn = stream.getvalue()
    assert stream.getvalue() == drawn


def test_each_new_status_is_a_line_and_each_digest_a_bar() -> None:
    stream = io.StringIO()
    with Progress(stream) as shown:
        lines = StatusLines(shown)
        for status in ("pulling manifest", "pulling manifest", "verifying"):
            lines.show_status(status)
        lines.show_bytes("sha256:a", "pulling a:", 5, 10)
        lines.show_bytes("sha256:a", "pulling a:", 10, 10)
        lines.show_status("success")
    final = re.sub(r"\x1b\[[?\d]*\w", "", stream.getvalue().rpartition("\x1b[?2026h")[2])
    assert [line.split("▕")[0].strip() for line in final.strip().splitlines()] == [
        "pulling manifest",
        "verifying",
        "pulling a: 100%",
        "success",
    ]
