"""Calls of tools are held to the request's tools; text around them is free."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pollama.native.model import Model, Placement
from pollama.prompts.parsers import PARSERS, Output, ParserContext
from pollama.prompts.parsers.json_calls import json_call_format
from pollama.prompts.parsers.tools import ToolParser
from pollama.runners.llamacpp.grammar import call_grammar
from pollama.types.generation import CallRule, GenerateJob, Sampling
from pollama.types.messages import Tool, ToolCall
from tests.engine.conftest import OpenEngine
from tests.engine.support import answer, answers, greedy, spec_of
from tests.engine.test_grammar import accepts

GET: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "unit": {"enum": ["km", "mi"]}},
    "required": ["n"],
    "additionalProperties": False,
}
TOOLS = {"get": GET, "get_all": {"type": "object", "properties": {}, "additionalProperties": False}}
TAGGED = CallRule(format=json_call_format("<tool_call>"), tools=TOOLS, thought=("<think>", "</think>"))
BARE = CallRule(format=json_call_format("{"), tools=TOOLS)
CALL = '{"name": "get", "arguments": {"n": 1}}'
HOT = Sampling(temperature=2.0, top_k=0, top_p=1.0)


@pytest.fixture(scope="module")
def probe(probe_model: Path) -> Iterator[Model]:
    """The loaded probe model, for its byte tokens."""
    model = Model(probe_model, Placement(devices=[]), lambda share: None)
    yield model
    model.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no call, 3 < 4 日本",
        f"I call <tool_call>\n{CALL}\n</tool_call> now",
        f"<tool_call>{CALL}</tool_call>\n<tool_call>{CALL}",
        f"<tool_call> [{CALL}, {CALL}] ",
        f"<<tool_call>{CALL}",
        '<tool_call>{"name":"get_all","parameters":{}}',
        "<think> a <tool_call> is </think> not needed",
        "<think> <tool_call>",
    ],
)
def test_text_and_right_calls_pass(probe: Model, text: str) -> None:
    assert accepts(probe, call_grammar(TAGGED), text)


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>",
        "<tool_call>get",
        '<tool_call>{"name": "other", "arguments": {}}',
        '<tool_call>{"name": "get", "arguments": {}}',
        '<tool_call>{"name": "get", "arguments": {"n": "1"}}',
        '<tool_call>{"name": "get_all", "arguments": {"n": 1}}',
        f"<tool_call>{CALL}, {{}}",
        f"<tool_call>{CALL}</tool_call><tool_call>{{}}",
        "<think> a </think><tool_call>get",
    ],
)
def test_wrong_calls_do_not_pass(probe: Model, text: str) -> None:
    assert not accepts(probe, call_grammar(TAGGED), text)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        (f" {CALL}", True),
        (f"{CALL}, {CALL}", True),
        (f"[{CALL}]", True),
        ("{ no }", True),
        ('{"named": 1}', True),
        ('a {"name": "x"}', True),
        ('{"name": 5}', True),
        ('{"name": ""}', True),
        ('{"name": "Ida", "age": 7}', True),
        ('{"name": "get_it", "age": 7}', True),
        ('{"name": "get_all", "parameters": {}}', True),
        ('{ "name": "get"}', False),
        ('{"name": "get", "age": 7}', False),
        (f"{CALL}, {{", False),
    ],
)
def test_without_a_tag_an_answer_is_a_call_where_it_begins_like_one(probe: Model, text: str, passes: bool) -> None:
    assert accepts(probe, call_grammar(BARE), text) == passes


def test_a_list_of_calls_without_a_tag_begins_with_its_bracket(probe: Model) -> None:
    grammar = call_grammar(CallRule(format=json_call_format("["), tools=TOOLS))
    assert accepts(probe, grammar, f"[ {CALL}, {CALL} ]")
    assert accepts(probe, grammar, '{"name": "get"}')
    assert not accepts(probe, grammar, '[{"name": "get"}')
    assert not accepts(probe, grammar, f"[{CALL}, {{")


def test_a_required_call_follows_the_thought(probe: Model) -> None:
    grammar = call_grammar(replace(TAGGED, required=True))
    assert accepts(probe, grammar, f"<think>hm</think>\n<tool_call>{CALL}")
    assert accepts(probe, grammar, f"<tool_call>{CALL}")
    assert not accepts(probe, grammar, "<think>hm")
    assert not accepts(probe, grammar, "<think>hm</think> no")
    assert not accepts(probe, grammar, "")
    begun = call_grammar(replace(TAGGED, required=True, inside_thought=True))
    assert accepts(probe, begun, f"hm</think><tool_call>{CALL}")


def test_arguments_that_no_grammar_enforces_may_be_any_object(probe: Model, caplog: pytest.LogCaptureFixture) -> None:
    odd = {"type": "object", "properties": {"n": {"type": "array", "uniqueItems": True}}}
    with caplog.at_level(logging.DEBUG):
        grammar = call_grammar(replace(TAGGED, tools={"odd": odd, **TOOLS}))
    assert "'uniqueItems' is not supported" in caplog.text
    assert accepts(probe, grammar, '<tool_call>{"name": "odd", "arguments": {"x": [{}]}}')
    assert accepts(probe, grammar, f"<tool_call>{CALL}")
    assert not accepts(probe, grammar, '<tool_call>{"name": "odd", "arguments": 5}')


async def test_every_required_call_of_a_hot_model_is_right(probe_model: Path, open_engine: OpenEngine) -> None:
    """Each format in which a grammar holds the arguments: what comes out is read, by the format's own parser."""
    engine = open_engine(spec_of(probe_model, sequences=8, context=1024))
    families = {name: family for name, family in PARSERS.items() if family.calls and family.calls.json}
    assert len(families) >= 8
    for name, family in families.items():
        assert family.calls is not None
        rule = CallRule(format=family.calls, tools=TOOLS, required=True)
        for text in await hot_answers(engine, rule, 4):
            parser = family.make(ParserContext(tools=[Tool(name="get"), Tool(name="get_all")], think=False))
            output = parser.feed(text)
            output.add(parser.feed("", done=True))
            check_calls(output, f"{name}: {text!r}")


async def test_every_required_call_behind_a_tag_of_a_template_is_right(
    probe_model: Path, open_engine: OpenEngine
) -> None:
    engine = open_engine(spec_of(probe_model, sequences=8, context=1024))
    for tag in ("<tool_call>", "{", "["):
        for text in await hot_answers(engine, CallRule(format=json_call_format(tag), tools=TOOLS, required=True), 8):
            parser = ToolParser(tag, [Tool(name="get"), Tool(name="get_all")])
            check_calls(parser.feed(text), text)


async def hot_answers(engine: Any, rule: CallRule, count: int) -> list[str]:
    """Return answers at a temperature at which nothing but the grammar makes sense."""
    jobs = [
        GenerateJob(
            prompt="please count",
            calls=rule,
            max_tokens=200,
            sampling=replace(HOT, seed=seed),
            preserved=["<tool_call>", "</tool_call>"],
        )
        for seed in range(count)
    ]
    return [got.text for got in await answers(engine, jobs)]


def check_calls(output: Output, text: str) -> None:
    assert output.tool_calls, text
    for call in output.tool_calls:
        check_call(call, text)


def check_call(call: ToolCall, text: str) -> None:
    assert call.name in TOOLS, text
    jsonschema.validate(call.arguments, TOOLS[call.name])


async def test_a_rule_leaves_an_answer_without_calls_alone(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    job = greedy("please count")
    assert (await answer(engine, replace(job, calls=TAGGED))).tokens == (await answer(engine, job)).tokens


async def test_a_call_that_broke_off_is_resumed(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    job = GenerateJob(
        prompt="please count",
        calls=replace(TAGGED, required=True),
        max_tokens=40,
        sampling=replace(HOT, seed=5),
        preserved=["<tool_call>"],
    )
    whole = await answer(engine, job)
    delivered = whole.deltas[: len(whole.deltas) // 2]
    tokens = [token for delta in delivered for token in delta.tokens]
    rest = await answer(engine, replace(job, produced=tokens, draws=delivered[-1].draws))
    assert tokens + rest.tokens == whole.tokens
