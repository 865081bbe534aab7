"""Structured output validates; what no grammar can enforce is refused by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollama.errors import FormatError, GenerationError
from pollama.native.model import Model, Placement
from pollama.native.sampler import Grammar
from pollama.runners.llamacpp.grammar import grammar_of
from pollama.types.generation import GenerateJob, Sampling
from tests.engine.conftest import OpenEngine
from tests.engine.support import answer, answers, greedy, spec_of

COLOR = {
    "type": "object",
    "properties": {"color": {"type": "string", "enum": ["red", "green"]}, "ok": {"type": "boolean"}},
    "required": ["color", "ok"],
}
LIST = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["v", "next"],
        }
    },
    "$ref": "#/$defs/node",
}
SCHEMAS: list[Any] = [
    COLOR,
    LIST,
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "null"}, "c": {}}, "required": ["b"]},
    {"type": "object", "properties": {"ab": {"type": "integer"}}, "additionalProperties": {"type": "boolean"}},
    {"type": "object", "properties": {"at": {"type": "string", "format": "date-time"}}, "required": ["at"]},
    {"type": "array", "items": {"type": "integer", "minimum": -12, "maximum": 1305}, "minItems": 2, "maxItems": 4},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}], "minItems": 2, "items": False},
    {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    {"type": "string", "minLength": 2, "maxLength": 6},
    {"type": "string", "pattern": "^[a-c]{2,5}-(\\d+|x)$"},
    {"type": ["integer", "null"]},
    {"const": {"a": [1, "x\n\""]}},
    {"enum": ["a", 1, None]},
    {"allOf": [{"$ref": "#/$defs/x"}, {"properties": {"y": {"type": "boolean"}}, "required": ["y"]}],
     "$defs": {"x": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}}},
    {"type": "number", "minimum": -0.25, "exclusiveMaximum": 0.125},
    {"type": "integer", "minimum": 0.5, "maximum": 12.9},
    {"$defs": {"n": {"type": "integer", "minimum": 1}}, "$ref": "#/$defs/n", "maximum": 3},
    {"type": "string", "enum": ["a", 1, None]},
    {"allOf": [{"type": ["number", "null"]}, {"type": ["integer", "string"]}, {"maximum": 9}, {"minimum": 7}]},
    {"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]},
               {"properties": {"a": {"maximum": 5}}, "additionalProperties": {"type": "boolean"}}]},
    {"allOf": [{"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"anyOf": [{"minimum": 3, "type": "number"},
                                                                         {"type": "boolean"}]}]},
    {"oneOf": [{"type": "object", "properties": {"kind": {"const": kind}, "v": {"type": kind}},
                "required": ["kind", "v"]} for kind in ("integer", "boolean")]},
    {"oneOf": [{"type": "integer", "maximum": 3}, {"type": "integer", "minimum": 4}, {"type": "null"}]},
    {"type": "object", "anyOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                                 {"properties": {"b": {"type": "integer"}}, "required": ["b"]}]},
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:40])
async def test_answers_validate(schema: Any, probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model, sequences=8, context=1024))
    hot = Sampling(temperature=2.0, top_k=0, top_p=1.0)
    jobs = [
        GenerateJob(prompt="please json", format=schema, max_tokens=400, sampling=replace(hot, seed=seed))
        for seed in range(8)
    ]
    complete = [got for got in await answers(engine, jobs) if got.end.reason == "stop"]
    assert complete
    for got in complete:
        jsonschema.validate(json.loads(got.text), schema, format_checker=jsonschema.FormatChecker())


async def test_json_without_a_schema_is_an_object(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    wild = GenerateJob(prompt="tell me", format="json", max_tokens=200, sampling=Sampling(seed=2, temperature=0.7))
    assert isinstance(json.loads((await answer(engine, wild)).text), dict)
    assert (await answer(engine, greedy("please json", format="json"))).text == '{"answer": 42}'


async def test_the_model_chooses_within_the_grammar(probe_model: Path, open_engine: OpenEngine) -> None:
    got = await answer(open_engine(spec_of(probe_model)), greedy("please count", format=COLOR))
    assert got.text == '{"color": "red","ok": false }'
    assert got.end.generated_tokens == 23


async def test_a_grammar_is_followed_and_ends_the_answer(probe_model: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(spec_of(probe_model))
    got = await answer(engine, greedy("please count", grammar='root ::= " one" " three" [0-9]{2}'))
    assert got.text.startswith(" one three")
    assert len(got.text) == len(" one three") + 2
    assert got.end.reason == "stop"
    with pytest.raises(GenerationError, match="failed to parse grammar") as refusal:
        await answer(engine, greedy("x", grammar="root ::= ("))
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "nonsense"}, "unknown type 'nonsense'"),
        ({"type": "array", "uniqueItems": True}, "'uniqueItems'"),
        ({"type": "number", "multipleOf": 2}, "'multipleOf'"),
        ({"properties": {"a": {"not": {}}}}, "answer-a: 'not' is not supported"),
        ({"type": "object", "minProperties": 1}, "'minProperties'"),
        ({"type": "object", "patternProperties": {}}, "'patternProperties'"),
        ({"type": "string", "pattern": "^(?=a)$"}, "'pattern' has a look-around"),
        ({"type": "string", "pattern": "a", "maxLength": 3}, "'pattern' together with a length"),
        ({"type": "number", "minimum": "0"}, "'minimum' must be a number"),
        ({"type": "number", "minimum": 1e300}, "'minimum' has more than 30 digits"),
        ({"type": "number", "minimum": 0.5, "exclusiveMaximum": 0.5}, "no number lies"),
        ({"type": "integer", "minimum": 0.1, "maximum": 0.9}, "no integer lies"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "no integer lies"),
        ({"$ref": "#/$defs/x"}, "points nowhere"),
        ({"$ref": "http://example.com"}, "does not point into the schema"),
        ({"allOf": [{"$ref": "#"}]}, "nested too deeply"),
        ({"enum": []}, "'enum' must be a list"),
        ({"properties": []}, "'properties' must be an object"),
        ({"type": "string", "maxLength": "3"}, "'maxLength' must be a count"),
        ({"items": False}, "a schema must be"),
        ({"const": "\ud800"}, "half of a surrogate pair"),
        (
            {"oneOf": [{"type": "integer"}, {"type": "number"}]},
            "'oneOf' is not supported where an answer may satisfy two",
        ),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {}, "b": {}}}, "'oneOf' is not"),
        ({"enum": ["abc", "d"], "maxLength": 2}, "'maxLength' beside constants"),
        ({"enum": ["abc"], "type": "integer"}, "none of the constants is of the type"),
        ({"allOf": [{"const": 1}, {"const": 2}]}, "nothing satisfies both 'const'"),
        ({"anyOf": [{"type": "string"}, {"const": 1}], "type": "null"}, "there is no answer"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "nothing satisfies both 'type'"),
        (
            {"properties": {"a": {}}, "additionalProperties": False, "required": ["b"]},
            "'b' is required and not allowed",
        ),
        ({"allOf": [{"properties": {"a": {}}, "additionalProperties": False}, {"required": ["b"]}]}, "'b' is required"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "no length lies"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "no length lies"),
    ],
)
def test_what_cannot_be_enforced_is_refused_by_name(schema: Any, reason: str) -> None:
    with pytest.raises(GenerationError, match=reason) as refusal:
        grammar_of(schema)
    assert refusal.value.status == 400


@pytest.mark.parametrize("wanted", ["xml", True, 5, ["json"]])
def test_other_formats_are_refused(wanted: Any) -> None:
    with pytest.raises(FormatError, match="invalid format"):
        grammar_of(wanted)


@pytest.fixture(scope="module")
def probe(probe_model: Path) -> Iterator[Model]:
    """The loaded probe model, for its byte tokens."""
    model = Model(probe_model, Placement(devices=[]), lambda share: None)
    yield model
    model.close()


def accepts(model: Model, grammar_text: str, text: str | bytes) -> bool:
    """Tell whether a grammar derives exactly ``text``, byte by byte."""
    data = text if isinstance(text, bytes) else text.encode()
    grammar = Grammar(model.vocabulary, grammar_text)
    try:
        for byte in data:
            token = 3 + byte
            if not grammar.allows(token):
                return False
            grammar.accept(token)
        return grammar.allows(model.vocabulary.eos)
    finally:
        grammar.close()


@pytest.mark.parametrize("data", [b"\xed\x9f\xbf", b"\xf0\x9f\x98\x80", b"\xe0\xa4\x85"])
def test_characters_pass_byte_by_byte(probe: Model, data: bytes) -> None:
    assert accepts(probe, "root ::= .", data)


@pytest.mark.parametrize(
    "data", [b"\xf0\x8f\xbf\xbf", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf7\xbf\xbf\xbf"]
)
def test_bytes_that_are_no_character_do_not_pass(probe: Model, data: bytes) -> None:
    assert not accepts(probe, "root ::= .*", data)


bounds = st.one_of(st.none(), st.integers(-2500, 2500))


@given(low=bounds, high=bounds, value=st.integers(-30_000, 30_000))
def test_integers_are_held_within_their_bounds(probe: Model, low: int | None, high: int | None, value: int) -> None:
    if low is not None and high is not None and low > high:
        low, high = high, low
    schema = {
        "type": "integer",
        **{key: bound for key, bound in (("minimum", low), ("maximum", high)) if bound is not None},
    }
    inside = (low is None or low <= value) and (high is None or value <= high)
    assert accepts(probe, grammar_of(schema), str(value)) == inside


@given(
    low=bounds,
    high=bounds,
    exclusive=st.tuples(st.booleans(), st.booleans()),
    whole=st.integers(-2600, 2600),
    fraction=st.sampled_from(["", ".0", ".5", ".25", ".999", ".001"]),
)
def test_numbers_are_held_within_their_bounds(
    probe: Model, *, low: int | None, high: int | None, exclusive: tuple[bool, bool], whole: int, fraction: str
) -> None:
    if low is not None and high is not None and low >= high:
        low, high = high, low + 1
    schema: dict[str, Any] = {"type": "number"}
    if low is not None:
        schema["exclusiveMinimum" if exclusive[0] else "minimum"] = low
    if high is not None:
        schema["exclusiveMaximum" if exclusive[1] else "maximum"] = high
    text = f"{whole}{fraction}"
    assert accepts(probe, grammar_of(schema), text) == jsonschema.Draft202012Validator(schema).is_valid(float(text))


PATTERNS = (
    *("^a+b?$", "^(ab|c)*$", "[x-z]{2}", "^\\w+\\.\\d$", "^[^a]$", "^a.c$", "^$", "^[ -~]+$", '^["\\\\]+$'),
    *("^[^\\s-]+$", "^[\\]\\-a]+$", "^a\\\\$", "^\\W\\D\\S$", "^[\n\t]$", "^\\n$"),
)


@given(st.sampled_from(PATTERNS), st.text('abcxyz.1"\\ -]\n\x85é', max_size=5))
def test_patterns_mean_what_they_mean_elsewhere(probe: Model, pattern: str, text: str) -> None:
    """Nothing passes that does not match; what matches passes, unless it holds a character that JSON escapes."""
    schema = {"type": "string", "pattern": pattern}
    matches = jsonschema.Draft202012Validator(schema).is_valid(text)
    passes = accepts(probe, grammar_of(schema), json.dumps(text, ensure_ascii=False))
    assert passes <= matches
    if text.isascii() and not set(text) & set('"\\\n'):
        assert passes == matches


LONG_LIMITS = [{"maxLength": 2001}, {"maxLength": 5000}, {"minLength": 2500}, {"minLength": 2500, "maxLength": 2501}]


@pytest.mark.parametrize("limits", LONG_LIMITS)
def test_long_texts_are_counted_exactly(probe: Model, limits: dict[str, int]) -> None:
    grammar = grammar_of({"type": "string", **limits})
    for length in {edge + by for edge in limits.values() for by in (-1, 0, 1)}:
        allowed = limits.get("minLength", 0) <= length <= limits.get("maxLength", length)
        assert accepts(probe, grammar, '"' + "a" * length + '"') == allowed


@pytest.mark.parametrize("text", ["\\ud83d\\ude00", "\\ud83d", "\\udc00"])
def test_escaped_surrogates_are_left_out(probe: Model, text: str) -> None:
    assert not accepts(probe, grammar_of({"type": "string", "maxLength": 2}), f'"{text}"')
    assert accepts(probe, grammar_of({"type": "string"}), '"\\ud7ff"')


@pytest.mark.parametrize(("day", "exists"), [("2024-01-31", True), ("2023-04-31", False), ("2023-02-28", True)])
def test_dates_exist(probe: Model, day: str, exists: bool) -> None:
    assert accepts(probe, grammar_of({"type": "string", "format": "date"}), f'"{day}"') == exists


decimals = st.one_of(st.none(), st.integers(-300, 300).map(lambda hundredths: hundredths / 100))


@given(low=decimals, high=decimals, exclusive=st.tuples(st.booleans(), st.booleans()), value=st.integers(-3100, 3100))
def test_decimals_are_held_within_their_bounds(
    probe: Model, *, low: float | None, high: float | None, exclusive: tuple[bool, bool], value: int
) -> None:
    if low is not None and high is not None and low >= high:
        low, high = high, low + 0.01
    ends = (("exclusiveMinimum", "minimum"), low, exclusive[0]), (("exclusiveMaximum", "maximum"), high, exclusive[1])
    schema = {"type": "number", **{names[not is_open]: end for names, end, is_open in ends if end is not None}}
    text = f"{value / 1000:.3f}"
    assert accepts(probe, grammar_of(schema), text) == jsonschema.Draft202012Validator(schema).is_valid(float(text))
