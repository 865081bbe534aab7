"""The behaviour vectors of names, Modelfiles, options and human formats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pollama.models import names
from pollama.types import human
from tests.contract.vectors import Vector, as_text, load_vectors, vector_id


def _moment(value: Vector) -> str:
    text = as_text(value["value"])
    return human.human_time(None if text == "zero" else -int(text), value["zero_value"])


def _duration(value: Vector) -> Any:
    nanoseconds = human.parse_duration(as_text(value["value"]))
    return {"ns": str(nanoseconds), "string": human.format_duration(nanoseconds)}


def _of_number(function: Callable[[int], str]) -> Callable[[Vector], str]:
    return lambda value: function(int(value["value"]))


_HUMAN: dict[str, Callable[[Vector], Any]] = {
    "HumanBytes": _of_number(human.human_bytes),
    "HumanBytes2": _of_number(human.human_bytes_binary),
    "HumanNumber": _of_number(human.human_number),
    "HumanDuration": _of_number(human.human_duration),
    "DurationString": _of_number(human.format_duration),
    "HumanTime": _moment,
    "HumanTimeLower": lambda value: _moment(value).lower(),
    "ParseDuration": _duration,
}


@pytest.mark.parametrize("vector", load_vectors("human"), ids=vector_id)
def test_human(vector: Vector) -> None:
    call = _HUMAN[vector["input"]["fn"]]
    if "error" in vector:
        with pytest.raises(ValueError, match="time: ") as caught:
            call(vector["input"])
        assert str(caught.value) == vector["error"]
    else:
        assert call(vector["input"]) == vector["output"]


def _parts(name: names.ModelName) -> Vector:
    return {
        "host": name.host,
        "namespace": name.namespace,
        "model": name.model,
        "tag": name.tag,
        "protocol_scheme": name.scheme,
    }


def _parsed(value: Vector) -> Vector:
    bare, full = names.parse_bare(as_text(value["name"])), names.parse(as_text(value["name"]))
    return {
        "bare": _parts(bare),
        "full": _parts(full),
        "valid": full.is_valid,
        "bare_valid": bare.is_valid,
        "string": str(full),
        "bare_string": str(bare),
        "display_shortest": full.short,
        "display_namespace_model": full.repository,
        "filepath": full.path if full.is_valid else None,
        "base_url": full.base_url,
    }


def _from_path(value: Vector) -> Vector:
    name = names.from_path(as_text(value["name"]))
    return {"name": _parts(name or names.ModelName()), "valid": name is not None}


def _merged(value: Vector) -> Vector:
    name = names.parse_bare(value["name"]).merged(names.parse_bare(value["other"]))
    return {"name": _parts(name), "valid": name.is_valid, "string": str(name)}


_NAMES: dict[str, Callable[[Vector], Any]] = {
    "parse": _parsed,
    "from_filepath": _from_path,
    "equal_fold": lambda value: names.parse(value["name"]).matches(names.parse(value["other"])),
    "merge": _merged,
    "namespace": lambda value: names.is_namespace(value["name"]),
}


@pytest.mark.parametrize("vector", load_vectors("names"), ids=vector_id)
def test_names(vector: Vector) -> None:
    assert _with_text(_NAMES[vector["input"]["kind"]](vector["input"])) == _with_text(vector["output"])


def _with_text(value: Any) -> Any:
    """Replace the raw bytes of a vector by text that two sides can be compared in."""
    if isinstance(value, dict):
        return as_text(value) if value.keys() == {"b64"} else {key: _with_text(item) for key, item in value.items()}
    return value
