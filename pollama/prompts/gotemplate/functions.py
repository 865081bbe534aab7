"""The functions that a template can call: Go's built-in ones and Ollama's four."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal
from urllib.parse import quote_plus

from pollama.prompts.gotemplate import compare
from pollama.prompts.gotemplate.compare import CallError
from pollama.prompts.gotemplate.formatting import sprint, sprintln
from pollama.prompts.gotemplate.printf import sprintf
from pollama.prompts.gotemplate.values import (
    INVALID,
    Boxed,
    Mapping,
    Pointer,
    Slice,
    Struct,
    Value,
    dereference,
    element,
    entry,
    is_nil,
    length,
    to_bytes,
    to_json,
    to_text,
    truth,
    type_name,
    unbox,
)

Parameter = Literal["any", "value", "string"]
"""``any``: an ``interface {}``; ``value``: anything, an untyped nil included; ``string``."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function with its parameter types; the last one repeats when ``variadic``."""

    name: str
    call: Callable[..., Value]
    parameters: tuple[Parameter, ...]
    variadic: bool = False

    @property
    def required(self) -> int:
        """Number of arguments that must be given."""
        return len(self.parameters) - self.variadic

    def parameter(self, index: int) -> Parameter:
        """Return the type of one argument."""
        return self.parameters[min(index, len(self.parameters) - 1)]


def _index(item: Value, *indexes: Value) -> Value:
    item = unbox(item)
    if item is INVALID:
        raise CallError("index of untyped nil")
    for index in indexes:
        if is_nil(item) and isinstance(item, Boxed):
            raise CallError("index of nil pointer")
        item = _index_one(dereference(item), unbox(index))
    return item


def _index_one(item: Value, index: Value) -> Value:
    if isinstance(item, (dict, Mapping)):
        return entry(item, _map_key(index))
    size = length(item)
    if size is None:
        raise CallError(f"can't index item of type {type_name(item)}")
    position = _position(index, size)
    if position == size:
        raise CallError(f"reflect: {'string' if isinstance(item, str) else 'slice'} index out of range")
    return element(item, position)


def _map_key(index: Value) -> str:
    if index is INVALID:
        raise CallError("value is nil; should be of type string")
    if not isinstance(index, str):
        raise CallError(f"value has type {type_name(index)}; should be string")
    return index


def _position(index: Value, limit: int) -> int:
    if index is INVALID:
        raise CallError("cannot index slice/array with nil")
    if not isinstance(index, int) or isinstance(index, bool):
        raise CallError(f"cannot index slice/array with type {type_name(index)}")
    if not 0 <= index <= limit:
        raise CallError(f"index out of range: {index}")
    return index


def _slice(item: Value, *indexes: Value) -> Value:
    item = unbox(item)
    if item is INVALID:
        raise CallError("slice of untyped nil")
    if len(indexes) > 3:
        raise CallError(f"too many slice indexes: {len(indexes)}")
    if isinstance(item, str) and len(indexes) == 3:
        raise CallError("cannot 3-index slice a string")
    if not isinstance(item, (str, bytes, list, Slice)):
        raise CallError(f"can't slice item of type {type_name(item)}")
    size = length(item) or 0
    bounds = [_position(unbox(index), size) for index in indexes]
    first, last = [*bounds, *[0, size][len(bounds) :]][:2]
    for low, high in ((first, last), (last, bounds[2]) if len(bounds) == 3 else (0, 0)):
        if low > high:
            raise CallError(f"invalid slice index: {low} > {high}")
    return _cut(item, first, last)


def _cut(item: Value, first: int, last: int) -> Value:
    if isinstance(item, str):
        return to_text(to_bytes(item)[first:last])
    if isinstance(item, Slice):
        return Slice(item.type_name, item.items[first:last], text=item.text)
    return item[first:last]


def _len(item: Value) -> int:
    if isinstance(item, Boxed) and is_nil(item):
        raise CallError("len of nil pointer")
    target = dereference(item)
    if target is INVALID:
        raise CallError("reflect: call of reflect.Value.Type on zero Value")
    size = length(target)
    if size is None:
        raise CallError(f"len of type {type_name(target)}")
    return size


def _call(name: str, function: Value, *_arguments: Value) -> Value:
    function = unbox(function)
    if function is INVALID:
        raise CallError("call of nil")
    raise CallError(f"non-function {name} of type {type_name(function)}")


def _last(*values: Value) -> Value:
    """Stand for ``and`` and ``or``, which the evaluator carries out itself because they skip arguments."""
    return values[-1]


def _not(value: Value) -> bool:
    return not truth(value)


def printable(value: Value) -> Value:
    """Return a value as the template prints it: what a pointer leads to; ``<no value>`` for no value."""
    if isinstance(value, Pointer):
        return value.target
    value = unbox(value)
    return "<no value>" if value is INVALID else value


def _joined(values: Sequence[Value]) -> str:
    bare = [unbox(value) for value in values]
    if len(bare) == 1 and isinstance(bare[0], str):
        return bare[0]
    return sprint([printable(value) for value in bare])


def _html(*values: Value) -> str:
    return html.escape(_joined(values)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;").replace("\0", "\ufffd")


_JS_ESCAPES: Final = {
    "\\": "\\\\",
    "'": "\\'",
    '"': '\\"',
    "<": "\\u003C",
    ">": "\\u003E",
    "&": "\\u0026",
    "=": "\\u003D",
}


def _js_character(character: str) -> str:
    if character in _JS_ESCAPES:
        return _JS_ESCAPES[character]
    return character if character.isprintable() else f"\\u{ord(character):04X}"


def _js(*values: Value) -> str:
    return "".join(map(_js_character, _joined(values)))


def _urlquery(*values: Value) -> str:
    return quote_plus(to_bytes(_joined(values)), safe="~")


def _print(*values: Value) -> str:
    return sprint(values)


def _println(*values: Value) -> str:
    return sprintln(values)


def _printf(template: str, *values: Value) -> str:
    return sprintf(template, values)


def _json(value: Value) -> str:
    try:
        return to_json(value)
    except ValueError:
        return ""


def _current_date(*_ignored: Value) -> str:
    return date.today().isoformat()  # noqa: DTZ011


def _yesterday_date(*_ignored: Value) -> str:
    return (date.today() - timedelta(days=1)).isoformat()  # noqa: DTZ011


def _typescript_type(value: Value) -> str:
    value = unbox(value)
    method = value.methods.get("ToTypeScriptType") if isinstance(value, Struct) else None
    return str(method()) if method else "any"


_BUILTINS: Final = (
    Function("and", _last, ("value", "value"), variadic=True),
    Function("or", _last, ("value", "value"), variadic=True),
    Function("not", _not, ("value",)),
    Function("eq", compare.equal, ("value", "value"), variadic=True),
    Function("ne", compare.different, ("value", "value")),
    Function("lt", compare.less, ("value", "value")),
    Function("le", compare.less_or_equal, ("value", "value")),
    Function("gt", compare.greater, ("value", "value")),
    Function("ge", compare.greater_or_equal, ("value", "value")),
    Function("len", _len, ("value",)),
    Function("index", _index, ("value", "value"), variadic=True),
    Function("slice", _slice, ("value", "value"), variadic=True),
    Function("print", _print, ("any",), variadic=True),
    Function("println", _println, ("any",), variadic=True),
    Function("printf", _printf, ("string", "any"), variadic=True),
    Function("html", _html, ("any",), variadic=True),
    Function("js", _js, ("any",), variadic=True),
    Function("urlquery", _urlquery, ("any",), variadic=True),
    Function("call", _call, ("value", "value"), variadic=True),
)

BUILTINS: Final = {function.name: function for function in _BUILTINS}
"""Go's own functions, in every template."""

_CUSTOM: Final = (
    Function("json", _json, ("any",)),
    Function("currentDate", _current_date, ("string",), variadic=True),
    Function("yesterdayDate", _yesterday_date, ("string",), variadic=True),
    Function("toTypeScriptType", _typescript_type, ("any",)),
)

CUSTOM: Final = {function.name: function for function in _CUSTOM}
"""Ollama's functions, in every execution but the last one of legacy mode."""
