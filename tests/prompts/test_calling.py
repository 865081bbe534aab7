"""What the calls in an answer have to be like: from the model's format, the request's tools and its choice of them."""

from __future__ import annotations

from typing import Any

import pytest

from pollama.errors import BadRequestError
from pollama.prompts.reading import chat_reading
from pollama.types.generation import CallRule
from pollama.types.messages import Think, Tool, ToolParameters, ToolProperty
from pollama.types.model import Model, ModelConfig
from pollama.types.requests import ChatRequest, ToolChoice
from tests.prompts.support import NATIVE_TEMPLATE, model, tool, user

GO = (
    "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}"
    "{{ if .ToolCalls }}<tool_call>{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}{{ end }}{{ end }}{{ .Tools }}"
)
TAGS = ("<think>", "</think>")
REQUIRED = ToolChoice(mode="required")


def rule_of(
    used: Model,
    *tools: Tool,
    choice: ToolChoice | None = None,
    think: Think = True,
    prompt: str = "",
) -> CallRule | None:
    """Return the rule for the answer to a question."""
    offered = list(tools or (tool("get", n="integer"), tool("put")))
    request = ChatRequest(model="m", messages=[user("q")], tools=offered, tool_choice=choice or ToolChoice())
    return chat_reading(used, request, think, prompt).calls


def built_in(name: str) -> Model:
    return model(config=ModelConfig(renderer="qwen3-coder", parser=name))


def test_a_go_template_gives_tag_and_thought() -> None:
    rule = rule_of(model(template=GO))
    assert rule is not None
    assert (rule.format.tag, rule.thought, rule.required, rule.inside_thought) == ("<tool_call>", TAGS, False, False)
    assert list(rule.tools) == ["get", "put"]
    without = rule_of(model(template=GO), think=False)
    assert without is not None
    assert without.thought is None


def test_a_prompt_may_end_inside_the_thought() -> None:
    rule = rule_of(model(chat_template=NATIVE_TEMPLATE + "{# </think> #}"), prompt="<|im_start|>assistant\n<think>\n")
    assert rule is not None
    assert (rule.thought, rule.inside_thought) == (TAGS, True)


def test_a_required_call_is_not_thought_about_where_thinking_is_off() -> None:
    native = model(chat_template=NATIVE_TEMPLATE + "{# </think> #}")
    required = rule_of(native, choice=REQUIRED, think=False)
    assert required is not None
    assert required.thought is None
    for rule in (
        rule_of(native, choice=REQUIRED, think=None),
        rule_of(native, choice=REQUIRED, think=False, prompt="<think>"),
        rule_of(native, think=False),
    ):
        assert rule is not None
        assert rule.thought == TAGS


def test_arguments_are_what_the_tool_declares_and_nothing_else() -> None:
    declared = tool("get", n="integer")
    declared.parameters.required = ["n"]
    rule = rule_of(model(template=GO), declared, Tool(name="bare"))
    assert rule is not None
    assert rule.tools["get"] == {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    assert rule.tools["bare"] == {"type": "object"}


def test_definitions_go_with_the_arguments() -> None:
    parameters = ToolParameters(
        defs={"x": {"type": "null"}}, properties={"l": ToolProperty(items={"$ref": "#/$defs/x"})}
    )
    rule = rule_of(model(template=GO), Tool(name="get", parameters=parameters))
    assert rule is not None
    schema: Any = rule.tools["get"]
    assert schema["$defs"] == {"x": {"type": "null"}}


def test_a_named_tool_is_the_only_one() -> None:
    rule = rule_of(model(template=GO), choice=ToolChoice(mode="required", name="put"))
    assert rule is not None
    assert (list(rule.tools), rule.required) == (["put"], True)


def test_no_rule_where_nothing_may_be_called() -> None:
    assert rule_of(model(template=GO), choice=ToolChoice(mode="none")) is None


@pytest.mark.parametrize(("parser", "is_held"), [("qwen3", True), ("ministral", True), ("qwen3-coder", False)])
def test_a_grammar_holds_calls_where_the_format_is_json(parser: str, is_held: bool) -> None:
    assert (rule_of(built_in(parser)) is not None) == is_held
    assert rule_of(built_in(parser), choice=REQUIRED) is not None


def test_a_thought_of_a_built_in_format_counts_only_before_a_required_call() -> None:
    """Its parser finds calls in thoughts as well."""
    chosen, required = rule_of(built_in("qwen3-thinking")), rule_of(built_in("qwen3-thinking"), choice=REQUIRED)
    assert chosen is not None
    assert required is not None
    assert (chosen.thought, required.thought) == (None, TAGS)
    unthinking = rule_of(built_in("qwen3-thinking"), choice=REQUIRED, think=False)
    assert unthinking is not None
    assert unthinking.thought is None


def test_names_are_those_of_the_prompt() -> None:
    rule = rule_of(built_in("harmony"), tool("get-all"))
    assert rule is not None
    assert list(rule.tools) == ["get_all"]


def test_a_call_that_cannot_be_required_is_refused() -> None:
    assert rule_of(built_in("glimmer")) is None
    with pytest.raises(BadRequestError, match="tool_choice cannot require one"):
        rule_of(built_in("glimmer"), choice=REQUIRED)
