"""The behaviour vectors of names, Modelfiles, options and human formats."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from pollama.errors import OptionTypeError
from pollama.models import modelfile, names
from pollama.models.recipe import parse_parameters, read_recipe
from pollama.types import human
from pollama.types.json import Json
from pollama.types.options import Options
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


def _typed(value: Json) -> Vector:
    """Describe a parameter as the vectors do; a float of 32 bits is told from an integer by its Python type."""
    if isinstance(value, bool):
        return {"type": "bool", "value": value}
    if isinstance(value, list):
        return {"type": "strings", "value": value}
    if isinstance(value, int):
        return {"type": "int", "value": value}
    special = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
    return {"type": "float32", "value": special.get(str(value), value)}


def _commands(text: bytes | str) -> Vector:
    commands = modelfile.parse(text)
    rendered = modelfile.render(commands)
    return {
        "commands": [{"name": command.name, "args": command.value} for command in commands],
        "rendered": rendered,
        "round_trip": _round_trip(rendered, commands),
    }


def _round_trip(rendered: str, commands: list[modelfile.Command]) -> bool | str:
    try:
        return modelfile.parse(rendered) == commands
    except modelfile.ModelfileError as error:
        return f"error: {error}"


def _create_request(text: bytes | str) -> Vector:
    try:
        recipe = read_recipe(modelfile.parse(text))
    except modelfile.ModelfileError as error:
        return {"create_request_error": str(error)}
    request = {
        "from": recipe.sources[-1],
        "template": recipe.template,
        "system": recipe.system,
        "license": recipe.licenses,
        "renderer": recipe.renderer,
        "parser": recipe.parser,
        "requires": recipe.requires,
        "messages": [{"role": message.role, "content": message.content} for message in recipe.messages],
        "parameters": {name: _typed(value) for name, value in recipe.parameters.items()},
    }
    warnings = "".join(f"{warning}\n" for warning in recipe.warnings)
    return {"create_request": request} | ({"warnings": warnings} if warnings else {})


def _modelfile(value: Vector) -> Vector:
    if "commands" in value:
        commands = [modelfile.Command(command["Name"], command["Args"]) for command in value["commands"]]
        return {"rendered": modelfile.render(commands)}
    text = value["text"]
    source = base64.b64decode(text["b64"]) if isinstance(text, dict) else text
    return _commands(source) | (_create_request(source) if value.get("create_request") else {})


@pytest.mark.parametrize("vector", load_vectors("modelfile"), ids=vector_id)
def test_modelfile(vector: Vector) -> None:
    if "error" in vector:
        with pytest.raises(modelfile.ModelfileError) as caught:
            _modelfile(vector["input"])
        assert str(caught.value) == vector["error"]
    else:
        assert _modelfile(vector["input"]) == vector["output"]


def _options(value: Vector) -> Vector:
    if value["kind"] == "format_params":
        return {name: _typed(parsed) for name, parsed in parse_parameters(value["params"]).items()}
    options = Options()
    for layer in [*value.get("layers", []), value["options"]]:
        options = options.updated(layer)
    return {key: item for key, item in asdict(options).items() if key != "explicit"}


@pytest.mark.parametrize("vector", load_vectors("options"), ids=vector_id)
def test_options(vector: Vector) -> None:
    if "error" in vector:
        with pytest.raises((modelfile.ModelfileError, OptionTypeError)) as caught:
            _options(vector["input"])
        assert str(caught.value) == vector["error"]
    else:
        assert _plain(_options(vector["input"])) == _plain(vector["output"])


def _plain(options: Vector) -> Vector:
    """Make tuples, missing lists and infinities comparable."""
    plain = {key: "+Inf" if value == math.inf else value for key, value in options.items()}
    stop = plain.get("stop")
    return plain | {"stop": stop if isinstance(stop, dict) else list(stop or ())}
