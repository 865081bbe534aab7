"""JSON in Go's form: escapes, numbers, key order, digests."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollama.types import gojson

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 53), 1 << 53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_what_is_written_reads_back(value: Any) -> None:
    assert json.loads(gojson.dumps(value), parse_int=float) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "-0"),
        (0.1, "0.1"),
        (1e20, "100000000000000000000"),
        (float(1 << 60), "1152921504606847000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (1e-6, "0.000001"),
        (-1.5e-5, "-0.000015"),
        (1e-7, "1e-7"),
        (5e-324, "5e-324"),
        (9007199254740992.0, "9007199254740992"),
        (10**30, "1000000000000000000000000000000"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert gojson.dumps(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("<>&", '"\\u003c\\u003e\\u0026"'),
        ('\x00\x1f\x7f\b\f\n\r\t/\\"', '"\\u0000\\u001f\x7f\\b\\f\\n\\r\\t/\\\\\\""'),
        ("é\u2028\u2029😀", '"é\\u2028\\u2029😀"'),
        ("\ud800", '"\\ufffd"'),
        (b"\x00\xff", '"AP8="'),
    ],
)
def test_strings(value: object, text: str) -> None:
    assert gojson.dumps(value) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_special_floats_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="json: unsupported value"):
        gojson.dumps({"x": [value]})


def test_a_set_is_refused() -> None:
    with pytest.raises(TypeError, match="json: unsupported type: set"):
        gojson.dumps({1})


def test_order_of_structs_and_maps() -> None:
    value: Any = {"b": [{"z": 1, "a": 2}], "a": {}, "é": [], "Z": None}
    assert gojson.dumps(value) == '{"b":[{"z":1,"a":2}],"a":{},"é":[],"Z":null}'
    assert gojson.dumps(gojson.sorted_maps(value)) == '{"Z":null,"a":{},"b":[{"a":2,"z":1}],"é":[]}'


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float32_digits_identify_the_value_and_are_short(single: float) -> None:
    [short] = gojson.shortest_float32([single])
    assert struct.unpack("f", struct.pack("f", short))[0] == single
    assert len(repr(short).strip("-").split("e")[0].replace(".", "").strip("0")) <= 9


def test_float32_arrays() -> None:
    assert gojson.dumps(array("f", [0.1, 1e-5, 500000, 3.4028235e38])) == "[0.1,0.00001,500000,3.4028235e+38]"


@pytest.mark.parametrize(
    ("value", "digest"),
    [
        (
            {"stop": ["USER:", "ASSISTANT:"], "temperature": 1.0, "top_k": 10},
            "1d0ad71299d48c2fb7ae2b98e683643e771f8a5b72be34942af90d97a91c1e37",
        ),
        (
            {"stop": ["<|endoftext|>"], "temperature": 0.6, "top_k": 10, "top_p": 0.7},
            "12f58bb75cb3042d69a7e013ab87fb3c3c7088f50ddc62f0c77bd332f0d44d35",
        ),
    ],
)
def test_digests_are_those_of_ollama(value: Any, digest: str) -> None:
    assert hashlib.sha256(gojson.dump_line(value)).hexdigest() == digest
