"""Go's comparison functions for template values."""

from __future__ import annotations

from typing import Literal

from pollama.prompts.gotemplate.formatting import format_static
from pollama.prompts.gotemplate.values import (
    INVALID,
    Byte,
    Mapping,
    Pointer,
    Slice,
    Struct,
    Value,
    is_nil,
    to_bytes,
    type_name,
    unbox,
)

_Kind = Literal["bool", "int", "float", "complex", "string", ""]


class CallError(Exception):
    """A function refuses its arguments; the text is Go's."""


def equal(first: Value, *others: Value) -> bool:
    """Tell whether the first value equals any of the others. Raises CallError."""
    if not others:
        raise CallError("missing argument for comparison")
    first = unbox(first)
    return any(_equal(first, unbox(other)) for other in others)


def different(first: Value, second: Value) -> bool:
    """The opposite of ``equal``."""
    return not equal(first, second)


def less(first: Value, second: Value) -> bool:
    """Tell whether the first value is smaller. Raises CallError."""
    first, second = unbox(first), unbox(second)
    kind, other = _kind(first), _kind(second)
    if not kind or not other:
        raise CallError("invalid type for comparison")
    if kind != other:
        raise _incompatible(first, second)
    if kind in ("bool", "complex"):
        raise CallError("invalid type for comparison")
    return bool(to_bytes(first) < to_bytes(second) if kind == "string" else first < second)


def less_or_equal(first: Value, second: Value) -> bool:
    """``less`` or ``equal``."""
    return less(first, second) or equal(first, second)


def greater(first: Value, second: Value) -> bool:
    """The opposite of ``less_or_equal``."""
    return not less_or_equal(first, second)


def greater_or_equal(first: Value, second: Value) -> bool:
    """The opposite of ``less``."""
    return not less(first, second)


def _equal(first: Value, second: Value) -> bool:
    kind, other = _kind(first), _kind(second)
    if kind != other:
        if first is not INVALID and second is not INVALID:
            raise _incompatible(first, second)
        return False
    if kind:
        return bool(first == second)
    return _equal_composite(first, second)


def _equal_composite(first: Value, second: Value) -> bool:
    if not _same_shape(first, second):
        raise CallError(
            f"non-comparable types {format_static(first, 's')}: {type_name(first)}, "
            f"{type_name(second)}: {format_static(second, 'v')}"
        )
    if is_nil(first) or is_nil(second):
        return is_nil(first) == is_nil(second)
    if isinstance(second, Pointer):
        return isinstance(first, Pointer) and first.target is second.target
    raise CallError(f"non-comparable type {format_static(second, 's')}: {type_name(second)}")


def _same_shape(first: Value, second: Value) -> bool:
    shapes: tuple[tuple[type, ...], ...] = ((list, Slice, bytes), (dict, Mapping), (Struct,), (Pointer,))
    if first is INVALID or second is INVALID:
        return True
    return any(isinstance(first, shape) and isinstance(second, shape) for shape in shapes)


def _kind(value: Value) -> _Kind:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, Byte)):
        return "int"
    if isinstance(value, float):
        return "float"
    if isinstance(value, complex):
        return "complex"
    return "string" if isinstance(value, str) else ""


def _incompatible(first: Value, second: Value) -> CallError:
    return CallError(f"incompatible types for comparison: {type_name(first)} and {type_name(second)}")
