"""Words that are wrapped while they arrive, as a terminal shows them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from pollama.cli.wordwrap import WordWrap

COLUMNS = 20


def screen(output: str) -> list[str]:
    """Return the lines a terminal shows for ``output``."""
    lines, column = [""], 0
    for token in re.findall(r"\x1b\[\d*[A-Z]|.|\n", output):
        if token == "\n":
            lines.append("")
            column = 0
        elif token == "\x1b[K":
            lines[-1] = lines[-1][:column]
        elif token.startswith("\x1b["):
            column -= int(token[2:-1])
        else:
            lines[-1] = lines[-1][:column] + token
            column += 1
    return lines


def wrapped(text: str, columns: int = COLUMNS) -> str:
    return WordWrap(columns).feed(text)


def test_a_word_that_does_not_fit_moves_to_the_next_line() -> None:
    assert screen(wrapped("one two three four five")) == ["one two three ", "four five"]


def test_it_makes_no_difference_in_which_pieces_a_text_arrives() -> None:
    text = "the quick brown fox jumps over the lazy dog"
    wrap = WordWrap(COLUMNS)
    assert "".join(map(wrap.feed, text)) == wrapped(text)


def test_line_breaks_of_the_text_begin_a_new_count() -> None:
    assert screen(wrapped("one two three\nfour five six")) == ["one two three", "four five six"]


def test_a_word_as_long_as_a_line_is_printed_once() -> None:
    word = "https://example.test/a/long/path"
    assert wrapped(f"see {word} now").count("example") == 1
    assert word in wrapped(f"{word} now")


def test_a_narrow_terminal_is_left_alone() -> None:
    assert wrapped("one two three four", 9) == "one two three four"


@given(st.lists(st.text("abcdefg", min_size=1, max_size=9), max_size=40))
def test_every_word_stays_whole_and_in_order(words: list[str]) -> None:
    lines = screen(wrapped(" ".join(words)))
    assert " ".join(lines).split() == words
    assert max(map(len, lines)) <= COLUMNS - 5
