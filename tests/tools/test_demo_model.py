"""The shipped demo model: its size, its template, and a few held-out questions of each skill."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import gguf
import pytest

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "pollama" / "demo" / "demo.gguf"
TOOLS = ROOT / "tools" / "demo_model"


@pytest.fixture(scope="module")
def template() -> str:
    field = gguf.GGUFReader(MODEL).get_field("tokenizer.chat_template")
    assert field is not None
    return str(field.contents())


def test_is_at_most_five_megabytes() -> None:
    assert MODEL.stat().st_size <= 5_000_000


def test_carries_the_template_of_its_recipe(template: str) -> None:
    assert template == (TOOLS / "chat_template.jinja").read_text("utf-8")


@pytest.mark.parametrize("mark", ["<think>", "</think>", "tools", "tool_calls", "tool_response", "<tool_call>"])
def test_template_shows_what_the_model_can_do(template: str, mark: str) -> None:
    assert mark in template


def test_answers_held_out_questions() -> None:
    command = [sys.executable, str(TOOLS / "evaluate.py"), "--model", str(MODEL), "--instances", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=250)
    cells = re.findall(r"(\d+) of (\d+)", done.stdout)
    right, asked = (sum(int(cell[index]) for cell in cells) for index in (0, 1))
    assert asked >= 80
    assert right >= 0.7 * asked, done.stdout
