"""Option values become what the engine is told."""

from __future__ import annotations

import math

import pytest

from pollama.errors import BadRequestError, FormatError, OptionTypeError
from pollama.inference.checks import check_raw, check_tool_choice, checked_format
from pollama.inference.embedding import finished_vector
from pollama.inference.jobs import bounded_predict, context_shift, sampling
from pollama.inference.pieces import RepeatGuard
from pollama.types.json import Json
from pollama.types.messages import Tool
from pollama.types.options import Options
from pollama.types.requests import ChatRequest, CompletionRequest, Format, GenerationRequest, ToolChoice


@pytest.mark.parametrize(
    ("wished", "bounded"), [(-1, 20480), (-2, 20480), (100, 100), (20480, 20480), (30000, 20480), (0, 0)]
)
def test_predict_is_bounded_by_ten_contexts(wished: int, bounded: int) -> None:
    assert bounded_predict(wished, 2048) == bounded


@pytest.mark.parametrize("context_length", [-5, 0, 1])
def test_a_context_without_length_leaves_predict_alone(context_length: int) -> None:
    assert bounded_predict(3, context_length) == 3
    assert bounded_predict(-1, context_length) == 40


def test_shift_is_on_unless_the_request_or_the_family_says_no() -> None:
    assert context_shift(GenerationRequest(model="m"), "llama")
    assert not context_shift(GenerationRequest(model="m"), "deepseek2")
    assert context_shift(GenerationRequest(model="m", shift=True), "deepseek2")
    assert not context_shift(GenerationRequest(model="m", shift=False), "llama")


def test_a_negative_seed_is_random_and_zero_is_a_seed() -> None:
    request = GenerationRequest(model="m")
    assert sampling(Options(), request).seed is None
    assert sampling(Options(seed=0), request).seed == 0


@pytest.mark.parametrize("value", [1e39, -1e308, True, "1"])
def test_what_is_no_32_bit_number_is_refused_by_the_name_of_its_option(value: Json) -> None:
    with pytest.raises(OptionTypeError, match="temperature"):
        sampling(Options().updated({"temperature": value}), GenerationRequest(model="m"))


def test_every_choice_has_a_seed_of_its_own() -> None:
    seeds = [sampling(Options(seed=7), GenerationRequest(model="m", choice=choice)).seed for choice in range(3)]
    assert seeds == [7, 8, 9]


def test_repeat_guard_counts_equal_parts_whatever_blanks_surround_them() -> None:
    guard = RepeatGuard()
    assert not any(guard.exceeded(text) for text in [" a", "a ", "a"] * 10 + ["a"])
    assert guard.exceeded("a")


def test_repeat_guard_starts_again_with_every_change() -> None:
    guard = RepeatGuard()
    assert not any(guard.exceeded(text) for text in (["a"] * 31 + ["b"]) * 3)


@pytest.mark.parametrize(("value", "expected"), [(None, None), ("", None), ("json", "json"), ({"a": 1}, {"a": 1})])
def test_formats(value: object, expected: object) -> None:
    assert checked_format(Format(given=True, value=value)) == expected


def test_other_formats_are_refused_with_their_raw_text() -> None:
    with pytest.raises(FormatError) as caught:
        checked_format(Format(given=True, value="xml"))
    assert str(caught.value) == r'invalid format: "\"xml\""; expected "json" or a valid JSON Schema object'


@pytest.mark.parametrize("field", [{"system": "s"}, {"template": "t"}, {"context": [1]}])
def test_raw_refuses_what_it_would_ignore(field: dict[str, object]) -> None:
    check_raw(CompletionRequest(model="m", raw=True))
    check_raw(CompletionRequest(model="m", **field))  # type: ignore[arg-type]
    with pytest.raises(BadRequestError, match="raw mode does not support"):
        check_raw(CompletionRequest(model="m", raw=True, **field))  # type: ignore[arg-type]


def test_vectors_have_length_one_whatever_is_cut_off() -> None:
    assert finished_vector([3.0, 4.0], 0) == pytest.approx([0.6, 0.8])
    assert finished_vector([3.0, 4.0], 1) == [1.0]
    assert finished_vector([3.0, 4.0], 5) == pytest.approx([0.6, 0.8])
    assert finished_vector([0.0, 0.0], 0) == [0.0, 0.0]
    assert finished_vector([3.0, 4.0, 5.0], 2, raw=True) == [3.0, 4.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_vector_with_nan_or_inf_is_refused(bad: float) -> None:
    with pytest.raises(BadRequestError, match="NaN or Inf"):
        finished_vector([1.0, bad], 0)


@pytest.mark.parametrize(
    ("choice", "tools", "reason"),
    [
        (ToolChoice(mode="required"), [], "the request has no tools"),
        (ToolChoice(mode="required", name="b"), [Tool(name="a")], 'names "b", which is none of the request\'s tools'),
    ],
)
def test_a_call_is_only_required_of_tools_that_are_there(choice: ToolChoice, tools: list[Tool], reason: str) -> None:
    with pytest.raises(BadRequestError, match=reason):
        check_tool_choice(ChatRequest(model="m", tools=tools, tool_choice=choice))


@pytest.mark.parametrize("choice", [ToolChoice(), ToolChoice(mode="none"), ToolChoice(mode="required", name="a")])
def test_other_choices_of_tools_pass(choice: ToolChoice) -> None:
    check_tool_choice(ChatRequest(model="m", tools=[Tool(name="a")], tool_choice=choice))


def test_tools_are_not_offered_where_none_may_be_called() -> None:
    request = ChatRequest(model="m", tools=[Tool(name="a")])
    assert request.offered_tools == request.tools
    request.tool_choice = ToolChoice(mode="none")
    assert not request.offered_tools
