"""Text that is final: characters and stop strings over token borders."""

from __future__ import annotations

import codecs
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollama.native.vocabulary import Vocabulary
from pollama.runners.llamacpp.stops import StopMatcher
from pollama.runners.llamacpp.text import TextWriter, TokenScore, Written
from tests.engine.conftest import OpenEngine
from tests.engine.support import answer, greedy, spec_of

letters = st.text("ab", max_size=8)
stops = st.lists(st.text("ab", min_size=1, max_size=4), max_size=3)


def matched(pieces: list[str], stop_strings: list[str]) -> tuple[str, str]:
    """Return what a matcher lets through and the stop string it found."""
    matcher = StopMatcher(stop_strings)
    passed = ""
    for piece in pieces:
        cut = matcher.push(piece)
        passed += cut.text if cut else ""
        if cut and cut.stopped_by:
            return passed, cut.stopped_by
    return passed + matcher.flush(), ""


@given(st.lists(letters), stops)
def test_text_ends_before_the_first_stop_string_that_is_completed(pieces: list[str], stop_strings: list[str]) -> None:
    passed, stopped_by = matched(pieces, stop_strings)
    text = "".join(pieces)
    if stopped_by:
        assert text.startswith(passed + stopped_by)
        assert not any(stop in passed for stop in stop_strings)
    else:
        assert passed == text
        assert not any(stop in text for stop in stop_strings)


@given(st.lists(letters), stops)
def test_nothing_is_let_through_that_a_stop_string_would_take_back(pieces: list[str], stop_strings: list[str]) -> None:
    matcher = StopMatcher(stop_strings)
    passed = ""
    for piece in pieces:
        cut = matcher.push(piece)
        if cut is None:
            continue
        passed += cut.text
        if cut.stopped_by:
            break
        assert not any(passed.endswith(stop[:length]) for stop in stop_strings for length in range(1, len(stop)))


@given(st.text(), st.lists(st.integers(1, 3), min_size=1))
def test_characters_are_never_torn(text: str, lengths: list[int]) -> None:
    data = text.encode("utf-8", "replace")
    pieces: list[bytes] = []
    while data:
        length = lengths[len(pieces) % len(lengths)]
        pieces.append(data[:length])
        data = data[length:]
    writer = TextWriter(pieces.__getitem__, [])
    deltas = [writer.write(token).delta for token in range(len(pieces))]
    written = [delta for delta in deltas if delta is not None]
    assert "".join(delta.text for delta in written) == text.encode("utf-8", "replace").decode()
    assert [token for delta in written for token in delta.tokens] == list(range(len(pieces)))


@given(st.lists(st.one_of(st.binary(max_size=4), st.sampled_from([b"a", b"\xe2", b"\x82\xac", b"\xf0\x9f"]))))
def test_any_bytes_are_read_as_one_text(pieces: list[bytes]) -> None:
    writer = TextWriter(pieces.__getitem__, [])
    deltas = [writer.write(token).delta for token in range(len(pieces))] + [writer.finish().delta]
    expected = codecs.getincrementaldecoder("utf-8")("replace").decode(b"".join(pieces))
    assert "".join(delta.text for delta in deltas if delta) == expected


def test_invalid_bytes_become_replacement_characters() -> None:
    writer = TextWriter([b"a\xff", b"b"].__getitem__, [])
    assert [writer.write(token).delta.text for token in (0, 1)] == ["a\ufffd", "b"]  # type: ignore[union-attr]


def test_half_a_character_at_the_end_is_dropped() -> None:
    writer = TextWriter([b"a", b"\xf0\x9f"].__getitem__, [])
    assert writer.write(0).delta is not None
    assert writer.write(1).delta is None
    assert writer.finish() == Written()


def test_whole_characters_before_half_a_character_at_the_end_are_delivered() -> None:
    writer = TextWriter([b" done\xe2"].__getitem__, [])
    assert writer.write(0) == Written()
    rest = writer.finish().delta
    assert rest is not None
    assert (rest.text, rest.tokens) == (" done", [0])


def test_a_stop_string_before_half_a_character_at_the_end_is_found() -> None:
    writer = TextWriter([b" so", b" done\xe2"].__getitem__, ["done"])
    assert writer.write(0).delta is not None
    assert writer.write(1) == Written()
    rest = writer.finish()
    assert rest.stopped_by == "done"
    assert rest.delta is not None
    assert rest.delta.text == " "


@given(st.text("ab😀", min_size=1), st.integers(0, 30), st.lists(st.text("ab", min_size=1, max_size=4), max_size=2))
def test_text_goes_on_where_it_broke_off(text: str, cut: int, stop_strings: list[str]) -> None:
    pieces = [bytes([byte]) for byte in text.encode()]
    whole, first, second = (TextWriter(pieces.__getitem__, stop_strings) for _ in range(3))
    expected = written_text(whole, range(len(pieces)))
    before = written_text(first, range(min(cut, len(pieces))))
    if before.endswith("!"):
        assert before == expected
        return
    second.resume(range(min(cut, len(pieces))))
    assert before + written_text(second, range(min(cut, len(pieces)), len(pieces))) == expected


def written_text(writer: TextWriter, tokens: Iterable[int]) -> str:
    """Return what a writer makes of ``tokens``; "!" where a stop string ends it."""
    text = ""
    for token in tokens:
        written = writer.write(token)
        text += written.delta.text if written.delta else ""
        if written.stopped_by:
            return text + "!"
    return text


def test_tokens_without_final_text_are_told_when_a_run_breaks_off() -> None:
    writer = TextWriter([b"a", b"\xf0\x9f", b"\x98\x80"].__getitem__, [])
    writer.write(0)
    assert writer.broken_off() is None
    writer.write(1)
    delta = writer.broken_off()
    assert delta is not None
    assert (delta.text, delta.tokens) == ("", [1])
    second = TextWriter([b"a", b"\xf0\x9f", b"\x98\x80"].__getitem__, [])
    second.resume([0, 1])
    rest = second.write(2).delta
    assert rest is not None
    assert (rest.text, rest.tokens) == ("😀", [2])


def test_held_back_text_comes_with_all_its_tokens_and_the_last_score() -> None:
    writer = TextWriter([b"x", b" fi", b"ve", b"!"].__getitem__, [" five six"])
    assert writer.write(0).delta is not None
    assert writer.write(1, TokenScore(-1.0)).delta is None
    assert writer.write(2, TokenScore(-2.0)).delta is None
    delta = writer.write(3, TokenScore(-3.0)).delta
    assert delta is not None
    assert (delta.text, delta.tokens) == (" five!", [1, 2, 3])
    assert [(logprob.token, logprob.logprob) for logprob in delta.logprobs] == [(" five!", -3.0)]


async def test_an_emoji_of_four_tokens_is_one_delta(probe_model: Path, open_engine: OpenEngine) -> None:
    got = await answer(open_engine(spec_of(probe_model)), greedy("please emoji"))
    assert [delta.text for delta in got.deltas] == ["😀", " after", " all"]
    assert len(got.deltas[0].tokens) == 4
    assert got.end.generated_tokens == 7


async def test_a_stop_string_ends_an_answer(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    got = await answer(engine, greedy("please count", stop=["nine", " five six"]))
    assert got.text == " one two three four"
    assert (got.end.reason, got.end.stopped_by, got.end.generated_tokens) == ("stop", " five six", 6)
    assert (await answer(engine, greedy("please spin", 30))).end.generated_tokens == 30


async def test_what_may_become_a_stop_string_is_held_back(probe_model: Path, open_engine: OpenEngine) -> None:
    got = await answer(open_engine(spec_of(probe_model)), greedy("please count", stop=[" five six nine"]))
    assert [delta.text for delta in got.deltas][3:6] == [" four", " five six seven", " eight"]
    assert got.text.endswith(" ten")


async def test_text_held_back_at_the_limit_is_delivered(probe_model: Path, open_engine: OpenEngine) -> None:
    got = await answer(open_engine(spec_of(probe_model)), greedy("please count", 5, stop=[" five six"]))
    assert got.text == " one two three four five"
    assert got.end.reason == "length"


async def test_control_tokens_have_no_text_unless_preserved(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    grammar = 'root ::= "<|im_start|>" "ok"'
    hidden = await answer(engine, greedy("please count", grammar=grammar))
    shown = await answer(engine, greedy("please count", grammar=grammar, preserved=["<|im_start|>"]))
    assert hidden.text.endswith("ok")
    assert shown.text == "<|im_start|>ok"


async def test_the_event_loop_tokenizes_nothing(
    probe_model: Path, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, threads = Vocabulary.tokenize, set()

    def tokenize(vocabulary: Vocabulary, text: str, **how: bool) -> list[int]:
        threads.add(threading.current_thread())
        return real(vocabulary, text, **how)

    monkeypatch.setattr(Vocabulary, "tokenize", tokenize)
    await answer(open_engine(spec_of(probe_model)), greedy("please count", preserved=["<|im_start|>"]))
    assert threads
    assert threading.main_thread() not in threads
