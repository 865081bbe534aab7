"""Go's reading of JSON: values, syntax errors, type errors and their order."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollama.api.godecode import (
    Bool,
    Bytes,
    Custom,
    DecodeError,
    EmptyBodyError,
    Float,
    Int,
    Kind,
    List,
    Map,
    Raw,
    String,
    Struct,
    Untyped,
    decode_body,
    decode_value,
    unmarshal,
)
from pollama.api.godecode.base64 import decode_base64
from pollama.types.json import Json

INNER = Struct("Inner", {"flag": Bool(), "names": List(String())})
OUTER = Struct(
    "Outer",
    {
        "text": String(),
        "count": Int(),
        "ratio": Float(),
        "map": Map(String()),
        "inner": INNER,
        "list": List(INNER),
        "data": Bytes(),
        "any": Untyped(),
    },
)


def refusal(body: bytes, kind: Any = OUTER) -> str:
    """Return the text of the error that ``body`` ends in."""
    with pytest.raises(DecodeError) as caught:
        decode_body(kind, body)
    return str(caught.value)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    try:
        decoded = unmarshal(Untyped(), data)
    except DecodeError:
        return
    assert decoded is None or isinstance(decoded, (bool, int, float, str, list, dict))


def _no_constant(name: str) -> None:
    raise ValueError(name)


def json_values(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Return a strategy for JSON values whose strings and keys are drawn from ``texts``."""
    numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        st.none() | st.booleans() | numbers | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=20,
    )


@given(json_values(st.text(st.characters(exclude_categories=["Cs"]))), st.booleans(), st.booleans())
def test_valid_json_is_what_python_reads(value: Any, ascii_only: bool, spaced: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=1 if spaced else None).encode("utf-8", "surrogatepass")
    assert unmarshal(Untyped(), text) == json.loads(text.decode("utf-8", "replace"))


@given(json_values(st.text(st.characters(max_codepoint=0x7F))), st.data())
def test_a_damaged_text_is_never_accepted_where_python_refuses(value: Any, data: st.DataObject) -> None:
    text = bytearray(json.dumps(value).encode())
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] = data.draw(st.integers(0x20, 0x7E))
    try:
        expected = json.loads(text, parse_constant=_no_constant)
    except ValueError:
        with pytest.raises(DecodeError):
            unmarshal(Untyped(), bytes(text))
    else:
        if _finite(expected):
            assert unmarshal(Untyped(), bytes(text)) == expected


def _finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_finite, value))
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return isinstance(value, (str, bool, type(None))) or (math.isfinite(value) and abs(value) <= 2**53)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"text":"x', "unexpected EOF"),
        (b"nul", "unexpected EOF"),
        (b"-", "unexpected EOF"),
        (b"<html>", "invalid character '<' looking for beginning of value"),
        (b"\xef\xbb\xbf{}", "invalid character 'ï' looking for beginning of value"),
        (b"{'a':1}", r"invalid character '\'' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 "b":2}', "invalid character '\"' after object key:value pair"),
        (b'[1 "b"]', "invalid character '\"' after array element"),
        (b'{"a":tru}', "invalid character '}' in literal true (expecting 'e')"),
        (b'{"a":"\n"}', r"invalid character '\n' in string literal"),
        (b'{"a":"\x01"}', r"invalid character '\x01' in string literal"),
        (b'{"a":"\\q"}', "invalid character 'q' in string escape code"),
        (b'{"a":"\\u12G4"}', r"invalid character 'G' in \u hexadecimal character escape"),
        (b'{"a":1.}', "invalid character '}' after decimal point in numeric literal"),
        (b'{"a":1e+}', "invalid character '}' in exponent of numeric literal"),
        (b'{"a":-}', "invalid character '}' in numeric literal"),
        (b'{"a":01}', "invalid character '1' after object key:value pair"),
        (b'{"a":NaN}', "invalid character 'N' looking for beginning of value"),
        (b"[" * 10_001, "invalid character '[' exceeded max depth"),
    ],
)
def test_syntax_errors_read_as_gos(body: bytes, text: str) -> None:
    assert refusal(body) == text


@pytest.mark.parametrize("body", [b"", b" \r\n\t"])
def test_nothing_is_its_own_error(body: bytes) -> None:
    with pytest.raises(EmptyBodyError, match=r"^EOF$"):
        decode_body(OUTER, body)


@pytest.mark.parametrize("body", [b'{"count":5} junk', b' {"count":5}{', b'{"COUNT":5}', b'{"count":1,"Count":5}'])
def test_only_the_first_value_counts_and_keys_match_in_any_case(body: bytes) -> None:
    assert decode_body(OUTER, body) == {"count": 5}


def test_null_leaves_a_field_unset() -> None:
    assert decode_body(OUTER, b'{"text":null,"count":null,"map":null,"inner":null,"data":null}') == {}
    assert decode_body(OUTER, b"null") == {}


@pytest.mark.parametrize(
    ("body", "found", "place"),
    [
        (b'{"text":1}', "number", "struct field Outer.text of type string"),
        (b'{"count":"1"}', "string", "struct field Outer.count of type int"),
        (b'{"count":1.0}', "number 1.0", "struct field Outer.count of type int"),
        (b'{"count":1e3}', "number 1e3", "struct field Outer.count of type int"),
        (b'{"count":9223372036854775808}', "number 9223372036854775808", "struct field Outer.count of type int"),
        (b'{"ratio":1e999}', "number 1e999", "struct field Outer.ratio of type float64"),
        (b'{"map":{"a":1}}', "number", "struct field Outer.map of type string"),
        (b'{"inner":[]}', "array", "struct field Outer.inner of type api.Inner"),
        (b'{"inner":{"FLAG":"x"}}', "string", "struct field Inner.inner.flag of type bool"),
        (b'{"list":[{},{"names":["a",true]}]}', "bool", "struct field Inner.list.names of type string"),
        (b'{"list":{}}', "object", "struct field Outer.list of type []api.Inner"),
        (b'{"data":{}}', "object", "struct field Outer.data of type []uint8"),
        (b'{"data":[1,256]}', "number 256", "struct field Outer.data of type uint8"),
        (b'{"any":[1e400]}', "number 1e400", "struct field Outer.any of type float64"),
        (b'{"text":1,"count":"x"}', "number", "struct field Outer.text of type string"),
        (b'{"text":1,"text":"x"}', "number", "struct field Outer.text of type string"),
        (b"7", "number", "value of type api.Outer"),
    ],
)
def test_type_errors_name_the_field(body: bytes, found: str, place: str) -> None:
    assert refusal(body) == f"json: cannot unmarshal {found} into Go {place}"


def test_a_custom_decoder_wins_over_earlier_type_errors() -> None:
    def refuse(_: Any) -> Any:
        raise DecodeError("no such thing")

    kind = Struct("S", {"a": String(), "b": Custom("T", refuse)})
    assert refusal(b'{"a":1,"b":2}', kind) == "no such thing"


def test_bad_utf8_is_replaced_byte_by_byte() -> None:
    assert unmarshal(String(), b'"a\xff\xe4\xbdb"') == "a\ufffd\ufffd\ufffdb"
    assert unmarshal(String(), rb'"\ud800x\udc00\ud83d\ude00"') == "\ufffdx\ufffd😀"


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("%%%", 0),
        ("not base64!", 3),
        ("a", 0),
        ("ab", 0),
        ("abc", 0),
        ("abcde", 4),
        ("ab=", 3),
        ("ab=c", 2),
        ("abc=d", 4),
        ("ab==c", 4),
        ("=", 0),
        ("a=", 1),
        ("é", 0),
    ],
)
def test_bad_base64_names_the_byte(text: str, offset: int) -> None:
    with pytest.raises(DecodeError, match=f"^illegal base64 data at input byte {offset}$"):
        decode_base64(text)


@given(st.binary(max_size=50))
def test_base64_with_line_ends_is_read(data: bytes) -> None:
    text = unmarshal(String(), json.dumps("\r\n".join(_base64(data))).encode())
    assert decode_base64(text) == data


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("kind", [Untyped(), Raw(), List(Untyped())])
def test_what_is_nested_too_deeply_to_look_through_is_refused(kind: Kind) -> None:
    nested: Json = []
    for _ in range(900):
        nested = [nested]
    with pytest.raises(DecodeError, match="exceeded max depth"):
        decode_value(kind, nested)
