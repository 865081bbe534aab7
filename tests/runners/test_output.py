from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollama.runners.output import KEPT_BYTES, RunnerOutput, exit_text


def _errors(*lines: str) -> str:
    output = RunnerOutput("runner")
    output.feed("".join(f"{line}\n" for line in lines).encode())
    return output.errors


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("llama_model_load: error loading model: no such tensor", "error loading model: no such tensor"),
        ("ERROR pollama.llama: CUDA error: out of memory", "CUDA error: out of memory"),
        ("ValueError: bad", "Error: bad"),
        ("ggml.c:12: GGML_ASSERT(x) failed", "GGML_ASSERT(x) failed"),
        ("ggml_vulkan: Device memory allocation failed", "ggml_vulkan: Device memory allocation failed"),
        ("load: all is well", ""),
        ("", ""),
    ],
)
def test_telling_lines_are_kept_from_the_telling_word_on(line: str, kept: str) -> None:
    assert _errors(line) == kept


def test_the_last_errors_are_kept() -> None:
    lines = [f"error: {number:04} {'x' * 100}" for number in range(1000)]
    kept = _errors(*lines).splitlines()
    assert kept == lines[-len(kept) :]
    assert KEPT_BYTES - 200 < sum(map(len, kept)) <= KEPT_BYTES


def test_levels_of_the_runner_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pollama.runner")
    _errors("WARNING pollama.llama: slow", "plain text")
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, "runner: pollama.llama: slow"),
        (logging.DEBUG, "runner: plain text"),
    ]


@given(st.lists(st.binary(max_size=12), max_size=20))
def test_lines_do_not_depend_on_how_they_arrive(chunks: list[bytes]) -> None:
    data = b"error: " + b"".join(chunks) + b"\n"
    at_once, in_pieces = RunnerOutput("a"), RunnerOutput("b")
    at_once.feed(data)
    for start in range(0, len(data), 5):
        in_pieces.feed(data[start : start + 5])
    assert at_once.errors == in_pieces.errors


def test_a_line_without_end_is_cut() -> None:
    output = RunnerOutput("runner")
    for _ in range(100):
        output.feed(b"error: " + b"x" * KEPT_BYTES)
    assert len(output.errors) <= KEPT_BYTES


@pytest.mark.parametrize(
    ("status", "text"), [(0, "exit status 0"), (3, "exit status 3"), (-9, "signal: killed"), (-6, "signal: aborted")]
)
def test_how_a_process_ended(status: int, text: str) -> None:
    assert exit_text(status) == text
