"""What a Modelfile asks for: its commands as the fields of a create request."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pollama.models.modelfile import Command, ModelfileError
from pollama.types.gojson import shortest_float32
from pollama.types.json import Json
from pollama.types.messages import Message
from pollama.types.options import Options

_DEPRECATED: Final = (
    "penalize_newline",
    "low_vram",
    "f16_kv",
    "logits_all",
    "vocab_only",
    "use_mlock",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
)
_NUMBER: Final = r"(?:0|[1-9]\d*)"
_IDENTIFIER: Final = rf"(?:{_NUMBER}|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION: Final = re.compile(
    rf"{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}"
    rf"(?:-{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?)?)?",
    re.ASCII,
)
_DECIMAL: Final = re.compile(r"[+-]?(?:inf(?:inity)?|[\d_]*\.?[\d_]*(?:e[+-]?[\d_]+)?)|nan", re.ASCII | re.IGNORECASE)
_HEXADECIMAL: Final = re.compile(r"[+-]?0x[0-9a-f_]*\.?[0-9a-f_]*p[+-]?\d+", re.ASCII | re.IGNORECASE)
_INTEGER: Final = re.compile(r"[+-]?\d+", re.ASCII)
_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")


@dataclass(slots=True, kw_only=True)
class Recipe:
    """The fields of a create request; ``sources``, ``adapters`` and ``drafts`` are names or paths as written."""

    sources: list[str] = field(default_factory=list)
    adapters: list[str] = field(default_factory=list)
    drafts: list[str] = field(default_factory=list)
    template: str = ""
    system: str = ""
    licenses: list[str] = field(default_factory=list)
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    messages: list[Message] = field(default_factory=list)
    parameters: dict[str, Json] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read_recipe(commands: Iterable[Command]) -> Recipe:
    """Return what the commands ask for. Raises ModelfileError for a wrong version or parameter."""
    recipe = Recipe()
    for command in commands:
        _APPLY.get(command.name, _apply_parameter)(recipe, command)
    return recipe


def parse_parameters(texts: dict[str, Sequence[str]]) -> dict[str, Json]:
    """Return the values of parameters given as texts, as ``PARAMETER`` and ``/set parameter`` take them.

    A parameter that is no list takes the first text. Raises ModelfileError.
    """
    return {name: _parsed(name, values) for name, values in texts.items()}


def _parsed(name: str, texts: Sequence[str]) -> Json:
    parse = _PARSERS.get(name)
    if parse is None:
        raise ModelfileError(f"unknown parameter '{name}'")
    try:
        return parse(texts)
    except (ValueError, OverflowError) as error:
        kind = _KINDS[parse]
        raise ModelfileError(f"invalid {kind} value [{' '.join(texts)}]") from error


def _integer(texts: Sequence[str]) -> int:
    if _INTEGER.fullmatch(texts[0]) is None or not -(1 << 63) <= int(texts[0]) < 1 << 63:
        raise ValueError
    return int(texts[0])


def _float(texts: Sequence[str]) -> float:
    text = texts[0]
    if _HEXADECIMAL.fullmatch(text):
        value = float.fromhex(text.replace("_", ""))
    elif _DECIMAL.fullmatch(text):
        value = float(text)
    else:
        raise ValueError
    single = shortest_float32([value])[0]
    if math.isinf(single) and not math.isinf(value):
        raise OverflowError
    return single


def _boolean(texts: Sequence[str]) -> bool:
    if texts[0] not in _TRUE + _FALSE:
        raise ValueError
    return texts[0] in _TRUE


def _strings(texts: Sequence[str]) -> list[str]:
    return list(texts)


_KINDS: Final[dict[Callable[[Sequence[str]], Any], str]] = {_integer: "int", _float: "float", _boolean: "bool"}
_BY_ANNOTATION: Final[dict[str, Callable[[Sequence[str]], Json]]] = {
    "int": _integer,
    "int | None": _integer,
    "float": _float,
    "bool | None": _boolean,
    "tuple[str, ...]": _strings,
}
_PARSERS: Final = {
    name: _BY_ANNOTATION[annotation] for name, annotation in Options.__annotations__.items() if name != "explicit"
}


def _apply_parameter(recipe: Recipe, command: Command) -> None:
    if command.name in _DEPRECATED:
        recipe.warnings.append(f"warning: parameter {command.name} is deprecated")
        return
    value = _parsed(command.name, [command.value])
    known = recipe.parameters.get(command.name)
    recipe.parameters[command.name] = known + value if isinstance(known, list) else value


def _apply_message(recipe: Recipe, command: Command) -> None:
    role, _, content = command.value.partition(": ")
    recipe.messages.append(Message(role=role, content=content))


def _apply_requires(recipe: Recipe, command: Command) -> None:
    version = command.value.removeprefix("v")
    if _VERSION.fullmatch(version) is None:
        raise ModelfileError("requires must be a valid semver (e.g. 0.14.0)")
    recipe.requires = version


def _apply_text(recipe: Recipe, command: Command) -> None:
    setattr(recipe, command.name, command.value)


_APPLY: Final[dict[str, Callable[[Recipe, Command], None]]] = {
    "model": lambda recipe, command: recipe.sources.append(command.value),
    "adapter": lambda recipe, command: recipe.adapters.append(command.value),
    "draft": lambda recipe, command: recipe.drafts.append(command.value),
    "license": lambda recipe, command: recipe.licenses.append(command.value),
    "message": _apply_message,
    "requires": _apply_requires,
    "template": _apply_text,
    "system": _apply_text,
    "renderer": _apply_text,
    "parser": _apply_text,
}
