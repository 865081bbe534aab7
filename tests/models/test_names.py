"""Names beyond the recorded vectors: source suffixes and spellings."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollama.errors import BadRequestError
from pollama.models.names import from_path, parse, parse_reference, respelled, stored_name


@pytest.mark.parametrize(
    ("text", "base", "source", "stored"),
    [
        ("m", "m", "", "m"),
        ("m:cloud", "m", "cloud", "m:cloud"),
        ("m:8b-cloud", "m:8b", "cloud", "m:8b-cloud"),
        ("m:8b:cloud", "m:8b", "cloud", "m:8b-cloud"),
        ("ns/m:CLOUD", "ns/m", "cloud", "ns/m:cloud"),
        ("m:8B-Cloud", "m:8B", "cloud", "m:8B-cloud"),
        ("m:local", "m", "local", "m"),
        ("m:8b:local", "m:8b", "local", "m:8b"),
        ("m-cloud", "m-cloud", "", "m-cloud"),
        ("my-cloud-model", "my-cloud-model", "", "my-cloud-model"),
        ("h:5000/a-cloud/m", "h:5000/a-cloud/m", "", "h:5000/a-cloud/m"),
        (" m ", "m", "", "m"),
    ],
)
def test_source_suffixes(text: str, base: str, source: str, stored: str) -> None:
    reference = parse_reference(text)
    assert (reference.base, reference.source, reference.stored_base) == (base, source, stored)


@pytest.mark.parametrize("text", ["m:cloud:local", "m:cloud:cloud", "m:8b-cloud:local"])
def test_two_suffixes_are_refused(text: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_reference(text)
    assert str(caught.value) == f'use either :local or :cloud, not both: "{text}"'


def test_each_part_takes_the_spelling_of_the_store() -> None:
    stored = [parse("Foo/y"), parse("other/X:V1"), parse("other/x2")]
    assert str(respelled(parse("foo/x:v1"), stored)) == "registry.ollama.ai/Foo/X:V1"
    assert str(respelled(parse("OTHER/X2"), stored)) == "registry.ollama.ai/other/x2:latest"
    assert str(respelled(parse("new/Name"), stored)) == "registry.ollama.ai/new/Name:latest"


def test_a_spelling_that_is_stored_stays() -> None:
    assert respelled(parse("M"), [parse("m"), parse("M")]) == parse("M")


@given(st.text(max_size=40) | st.text(alphabet="aZ09_.:/-!@", max_size=40))
def test_a_valid_name_is_a_safe_path(text: str) -> None:
    name = parse(text)
    if name.is_valid:
        assert from_path(name.path) == replace(name, scheme="")
        assert not any(part in ("", ".", "..") for part in name.path.split("/"))
        assert parse(str(name)).path == name.path
        assert parse(name.short).matches(name)


@given(st.text(max_size=3000))
def test_any_text_is_a_stored_name_or_a_bad_request(text: str) -> None:
    with contextlib.suppress(BadRequestError):
        assert stored_name(text)[0].is_valid
