"""What holds for every built-in renderer, and how they write values and images."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollama.prompts.renderers import RENDERERS, RenderContext, RenderError, find_renderer
from pollama.prompts.renderers.gemma_values import gemma_members
from pollama.prompts.renderers.images import ImageWriter
from pollama.prompts.renderers.values import (
    compact_json,
    go_text,
    indented_json,
    plain_text,
    raw_spaced_json,
    spaced_json,
)
from pollama.types.json import Json
from pollama.types.messages import Message, Tool, ToolCall, ToolParameters, ToolProperty
from tests.prompts.support import assistant, system, tool, user

QUESTION = [system("Be brief."), user("What is the weather in Oslo?")]
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)


def called(name: str, arguments: dict[str, Json] | None) -> Message:
    return Message(role="assistant", tool_calls=[ToolCall(name=name, arguments=arguments)])


@pytest.mark.parametrize("name", RENDERERS)
def test_a_prompt_has_all_that_was_said_in_order(name: str) -> None:
    prompt = find_renderer(name).render(RenderContext(messages=[*QUESTION, assistant("Cold."), user("Why?")]))
    places = [prompt.index(text) for text in ("Be brief.", "What is the weather in Oslo?", "Cold.", "Why?")]
    assert places == sorted(places)


@pytest.mark.parametrize("name", RENDERERS)
def test_a_longer_conversation_keeps_the_prompt_of_the_shorter_one(name: str) -> None:
    """Otherwise the KV cache of the earlier request would be of no use."""
    family = find_renderer(name)
    short = family.render(RenderContext(messages=QUESTION, think=False))
    question_end = short.index("Oslo?") + len("Oslo?")
    longer = family.render(RenderContext(messages=[*QUESTION, assistant("Cold."), user("Why?")], think=False))
    assert longer.startswith(short[:question_end])


@pytest.mark.parametrize("name", RENDERERS)
def test_calls_without_arguments_and_tools_without_parameters_are_written(name: str) -> None:
    messages = [*QUESTION, called("now", None), Message(role="tool", content="noon")]
    context = RenderContext(messages=messages, tools=[Tool(name="now")])
    assert find_renderer(name).render(context)


@pytest.mark.parametrize("name", sorted(set(RENDERERS) - {"qwen3.8"}))
def test_no_messages_make_a_prompt(name: str) -> None:
    assert isinstance(find_renderer(name).render(RenderContext(messages=[])), str)


@pytest.mark.parametrize("images_in", ["system", "developer"])
def test_qwen38_says_that_system_messages_have_no_images(images_in: str) -> None:
    messages = [Message(role=images_in, content="Look", images=[b"x"]), user("hi")]
    with pytest.raises(RenderError, match=r"^system message cannot contain images$"):
        find_renderer("qwen3.8").render(RenderContext(messages=messages))


def test_an_unknown_name_is_quoted() -> None:
    with pytest.raises(RenderError, match=r'^unknown renderer "no\\"pe"$'):
        find_renderer('no"pe')


@pytest.mark.parametrize(
    "name", ["gemma4", "glm-ocr", "glimmer", "lfm2", "nemotron-3-nano", "ornith", "qwen3-vl-instruct", "qwen3.5"]
)
def test_tags_are_numbered_like_the_media_of_the_request(name: str) -> None:
    """A message that no longer shows its images still has them among the media."""
    messages = [user("[img-0] seen"), user("two", b"a", b"b"), user("[img-1] again", b"c"), user("last", b"d")]
    prompt = find_renderer(name).render(RenderContext(messages=messages))
    assert "[img-0][img-1] two" in prompt
    assert "[img-3] last" in prompt


@pytest.mark.parametrize(
    ("content", "written"),
    [
        ("", "[img-0][img-1]"),
        ("text", "[img-0][img-1] text"),
        ("\u00a0text", "[img-0][img-1]\u00a0text"),
        ("a [img] b", "[img-1] a [img-0] b"),
        ("[img] and [img] and [img]", "[img-0] and [img-1] and [img]"),
        ("see [img-7]", "see [img-7]"),
    ],
)
def test_tags_take_the_places_that_the_content_has_for_them(content: str, written: str) -> None:
    message = user(content, b"a", b"b")
    images = ImageWriter(RenderContext(messages=[message]), "<image>")
    assert images.content(0, message) == written


def test_without_tags_every_image_has_the_familys_placeholder() -> None:
    message = user("[img] text", b"a", b"b")
    images = ImageWriter(RenderContext(messages=[message], image_tags=False), "<image>")
    assert images.content(0, message) == "<image><image>[img] text"


@given(VALUES)
def test_layouts_of_json_differ_in_white_space_alone(value: Json) -> None:
    for layout in (compact_json, spaced_json, raw_spaced_json, indented_json):
        assert json.loads(layout(value)) == value


def test_separators_within_strings_get_no_space() -> None:
    assert spaced_json({"a:b,c": ['x":,"y', "\\"]}) == r'{"a:b,c": ["x\":,\"y", "\\"]}'


def test_indented_json_keeps_empty_containers_on_their_line() -> None:
    assert indented_json({"a": [], "b": {}, "c": [{"d": 1}]}, indent="  ") == (
        '{\n  "a": [],\n  "b": {},\n  "c": [\n    {\n      "d": 1\n    }\n  ]\n}'
    )


def test_html_is_escaped_unless_raw() -> None:
    assert spaced_json("<&>") == '"\\u003c\\u0026\\u003e"'
    assert raw_spaced_json(["<&>", "\\u003c", "\u2028"]) == '["<&>", "\\\\u003c", "\\u2028"]'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12345678901234567890, "12345678901234567000"),
        (10**21, "1e+21"),
        (True, "true"),
        (-0.5, "-0.5"),
    ],
)
def test_integers_are_written_as_the_floats_that_they_decode_to(value: Json, text: str) -> None:
    assert compact_json(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "<nil>"),
        (1_000_000, "1e+06"),
        ([1, None, ["a b"]], "[1 <nil> [a b]]"),
        ({"b": True, "a": 0.25}, "map[a:0.25 b:true]"),
    ],
)
def test_go_text(value: Json, text: str) -> None:
    assert go_text(value) == text


def test_plain_text_writes_containers_as_json_with_sorted_keys() -> None:
    assert plain_text({"b": "<", "a": [None]}) == '{"a":[null],"b":"\\u003c"}'
    assert plain_text(None) == "null"


@pytest.mark.parametrize(
    ("value", "text"),
    [(2**63, "9.223372036854776e+18"), (2**53, "9007199254740992"), (1.5, "1.5"), (-3.0, "-3"), (True, "true")],
)
def test_gemma_writes_whole_numbers_out_while_64_bits_hold_them(value: Json, text: str) -> None:
    assert gemma_members({"n": value}, "'", "null") == f"n:{text}"


def test_gemma4_describes_arrays_and_objects_to_the_bottom() -> None:
    place = ToolProperty(type=("object",), properties={"x": ToolProperty(type=("number", "null"))}, required=["x"])
    path = ToolProperty(type=("array",), items={"type": "array", "items": {"type": "string"}, "minItems": 2})
    parameters = ToolParameters(type="object", properties={"place": place, "path": path})
    prompt = find_renderer("gemma4").render(
        RenderContext(messages=[user("go")], tools=[Tool(name="move", parameters=parameters)])
    )
    assert (
        'place:{properties:{x:{type:<|"|>[\'NUMBER\', \'NULL\']<|"|>}},required:[<|"|>x<|"|>],type:<|"|>OBJECT<|"|>}'
        in prompt
    )
    assert 'path:{items:{items:{type:<|"|>string<|"|>},minItems:2,type:<|"|>ARRAY<|"|>},type:<|"|>ARRAY<|"|>}' in prompt


@pytest.mark.parametrize(
    ("name", "types"), [("qwen3-coder", '["number","null"]'), ("nemotron-3-nano", "['number', 'null']")]
)
def test_a_parameter_of_several_types(name: str, types: str) -> None:
    parameters = ToolParameters(type="object", properties={"n": ToolProperty(type=("number", "null"))})
    prompt = find_renderer(name).render(
        RenderContext(messages=[user("go")], tools=[Tool(name="f", parameters=parameters)])
    )
    assert f"<name>n</name>\n<type>{types}</type>" in prompt


def test_lfm2_strips_the_thoughts_of_all_answers_but_the_last() -> None:
    messages = [user("q"), assistant("<think>a</think>\n1"), user("r"), assistant("<think>b</think>2"), user("s")]
    prompt = find_renderer("lfm2").render(RenderContext(messages=messages))
    assert "<|im_start|>assistant\n1<|im_end|>" in prompt
    assert "<think>b</think>2<|im_end|>" in prompt


def test_nemotron_obeys_the_last_switch() -> None:
    family = find_renderer("nemotron-3-nano")
    messages = [system("S"), user("/no_think one"), assistant("1"), user("two </think> /think")]
    prompt = family.render(RenderContext(messages=messages, think=False))
    assert prompt.endswith("user\ntwo </think><|im_end|>\n<|im_start|>assistant\n<think>\n")


def test_cohere_numbers_calls_through_the_conversation() -> None:
    def call(call_id: str) -> Message:
        return Message(role="assistant", tool_calls=[ToolCall(name="now", id=call_id)])

    def result(call_id: str) -> Message:
        return Message(role="tool", content="r", tool_call_id=call_id)

    prompt = find_renderer("cohere").render(
        RenderContext(messages=[user("q"), call("a"), result("a"), call("b"), result("b")], tools=[tool("now")])
    )
    numbers = [part[:1] for part in prompt.split('"tool_call_id": "')[1:]]
    assert numbers == ["0", "0", "1", "1"]


def test_glimmer_offers_a_namespace_once() -> None:
    tools = [tool("files.read"), tool("files.write"), tool("now")]
    prompt = find_renderer("glimmer").render(RenderContext(messages=[user("q")], tools=tools))
    assert '# Valid recipients: "self", "files.*", "now.*", "user".' in prompt
    assert prompt.count('{"name": "files", "description": ""}') == 1
