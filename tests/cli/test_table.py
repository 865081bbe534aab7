"""Wrapping and widths of tables."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pollama.cli.table import CELL_WIDTH, section, table, width_of, wrap


def test_wide_characters_count_twice() -> None:
    assert table(("A", "B"), [("日本", "x"), ("abcde", "y")]).splitlines()[1:] == ["日本     x    ", "abcde    y    "]


def test_breaks_are_as_even_as_can_be() -> None:
    assert wrap("aaaa bb cc ddddd", 6) == ["aaaa", "bb cc", "ddddd"]


def test_a_long_word_widens_its_cell() -> None:
    assert wrap(f"a {'b' * 40} c", CELL_WIDTH) == ["a", "b" * 40, "c"]


def test_the_other_columns_of_a_wrapped_row_are_indented() -> None:
    rows = section("T", [("key", " ".join(["value"] * 6))]).splitlines()
    assert rows[1].startswith("    key    value")
    assert rows[2].startswith("             value")


@given(st.lists(st.text("abc", min_size=1, max_size=40), min_size=1, max_size=30))
def test_wrapping_keeps_all_words_in_order_and_in_bounds(words: list[str]) -> None:
    lines = wrap(" ".join(words), CELL_WIDTH)
    assert " ".join(lines).split() == words
    assert max(map(width_of, lines)) <= max(CELL_WIDTH, *map(len, words))
