"""The behaviour vectors of names, Modelfiles, options and human formats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

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
