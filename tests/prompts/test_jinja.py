"""Chat templates of GGUF files."""

from __future__ import annotations

import pytest

from pollama.errors import BadRequestError, TemplateError
from pollama.prompts.jinja import MAX_CHARACTERS, render_jinja
from pollama.prompts.native import SpecialTexts, render_native
from pollama.types.messages import Message, ToolCall
from tests.prompts.support import NATIVE_TEMPLATE, assistant, system, tool, user

NOTHING = SpecialTexts()


def test_blocks_are_trimmed_as_hugging_face_does() -> None:
    source = "a\n  {% if true %}\nb\n  {% endif %}\nc"
    assert render_jinja(source, {}) == "a\nb\nc"


def test_json_keeps_key_order_and_characters() -> None:
    assert render_jinja("{{ x | tojson }}", {"x": {"z": "<é>", "a": [1, None]}}) == '{"z": "<é>", "a": [1, null]}'


def test_loop_controls_and_namespaces_work() -> None:
    source = (
        "{% set ns = namespace(n=0) %}{% for x in xs %}{% if x == 3 %}{% break %}{% endif %}"
        "{% set ns.n = ns.n + x %}{{ loop.index }}{{ '.' if loop.last }}{% endfor %}={{ ns.n }}"
    )
    assert render_jinja(source, {"xs": [1, 2, 3, 4]}) == "12=3"


def test_concatenation_joins_any_values() -> None:
    assert render_jinja("{{ 'a' ~ 1 ~ none }}", {}) == "a1None"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{% if %}", "line 1: "),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ missing.field }}", "'missing' is undefined"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ x.append(1) }}", "append"),
    ],
)
def test_problems_are_named(source: str, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render_jinja(source, {"x": []})
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'x' * 999999999 }}",
        "{{ [1] * 999999999 }}",
        "{{ 10 ** 999999999 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ 'x'.ljust(999999999) }}",
        "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
    ],
)
def test_a_template_cannot_spend_without_end(source: str) -> None:
    with pytest.raises(TemplateError):
        render_jinja(source, {})


def test_a_large_conversation_is_within_the_limits() -> None:
    text = "x" * (MAX_CHARACTERS // 4)
    assert len(render_jinja("{% for m in ms %}{{ m }}{% endfor %}", {"ms": [text, text]})) == 2 * len(text)


def test_native_messages_are_in_openai_shape() -> None:
    call = ToolCall(name="get", arguments={"z": 1, "a": "<"}, id="c1")
    messages = [
        user("q"),
        Message(role="assistant", thinking="hidden", tool_calls=[call]),
        Message(role="tool", content="r", tool_name="get", tool_call_id="c1"),
    ]
    source = "{% for m in messages %}{{ m | tojson }}\n{% endfor %}"
    assert render_native(source, messages, [], None, NOTHING).splitlines() == [
        '{"role": "user", "content": "q"}',
        (
            '{"role": "assistant", "content": "", "tool_calls": [{"type": "function", "id": "c1", '
            '"function": {"name": "get", "arguments": {"z": 1, "a": "<"}}}]}'
        ),
        '{"role": "tool", "content": "r", "tool_call_id": "c1", "name": "get"}',
    ]


def test_native_tools_thinking_and_special_tokens_reach_the_template() -> None:
    source = "{{ bos_token }}{{ tools | tojson }}{{ enable_thinking }}{{ reasoning_effort }}{{ eos_token }}"
    rendered = render_native(source, [user("q")], [tool(n="integer")], "high", SpecialTexts(bos="<s>", eos="</s>"))
    assert rendered == (
        '<s>[{"type": "function", "function": {"name": "get", "parameters": {"type": "object", '
        '"properties": {"n": {"type": "integer"}}}}}]Truehigh</s>'
    )


@pytest.mark.parametrize(("think", "expected"), [(None, "True"), (True, "True"), (False, "False"), ("low", "True")])
def test_native_thinking_is_on_unless_refused(think: bool | None, expected: str) -> None:
    assert render_native("{{ enable_thinking }}", [user("q")], [], think, NOTHING) == expected


def test_a_final_assistant_message_is_left_open() -> None:
    rendered = render_native(NATIVE_TEMPLATE, [user("q"), assistant("It is")], [], False, NOTHING)
    assert rendered == "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nIt is"


def test_two_final_assistant_messages_are_refused() -> None:
    with pytest.raises(BadRequestError, match="2 or more assistant messages"):
        render_native(NATIVE_TEMPLATE, [user("q"), assistant("a"), assistant("b")], [], None, NOTHING)


def test_a_model_without_a_template_speaks_chatml() -> None:
    assert render_native("", [system("s"), user("q")], [], None, NOTHING) == (
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_template_that_refuses_system_turns_gets_the_text_in_the_user_turn() -> None:
    source = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "[{{ m.content }}]{% endfor %}"
    )
    assert render_native(source, [system("s"), user("q")], [], None, NOTHING) == "[s\nq]"
