"""Go's ``fmt`` for template values: verbs, flags, widths and the texts that replace wrong verbs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pollama.prompts.gotemplate.values import (
    INVALID,
    Boxed,
    Byte,
    Mapping,
    Pointer,
    Slice,
    Struct,
    Value,
    sorted_entries,
    to_bytes,
    to_text,
    type_name,
    unbox,
)
from pollama.types import gojson
from pollama.types.goquote import go_quote

_NIL: Final = "<nil>"


@dataclass(frozen=True, slots=True)
class Verb:
    """One formatting directive. ``plain``: String methods are not used (inside a wrong-verb text)."""

    letter: str = "v"
    flags: str = ""
    width: int | None = None
    precision: int | None = None
    plain: bool = False

    def has(self, flag: str) -> bool:
        """Tell whether a flag was given."""
        return flag in self.flags


_DEFAULT: Final = Verb()


def sprint(operands: Sequence[Value]) -> str:
    """Return the operands as Go's ``Sprint`` joins them: a space between two that are both not strings."""
    parts: list[str] = []
    previous_is_text = True
    for operand in operands:
        is_text = isinstance(unbox(operand), str)
        if parts and not is_text and not previous_is_text:
            parts.append(" ")
        parts.append(format_operand(operand, _DEFAULT))
        previous_is_text = is_text
    return "".join(parts)


def sprintln(operands: Sequence[Value]) -> str:
    """Return the operands as Go's ``Sprintln`` does."""
    return " ".join(format_operand(operand, _DEFAULT) for operand in operands) + "\n"


def format_operand(operand: Value, verb: Verb) -> str:
    """Return one operand under a verb."""
    operand = unbox(operand)
    if operand is INVALID:
        return _pad(_NIL, verb) if verb.letter in "vT" else f"%!{verb.letter}({_NIL})"
    if verb.letter == "T":
        return _pad(type_name(operand), verb)
    return _format(operand, verb, 0)


def format_static(value: Value, letter: str) -> str:
    """Return a value under a verb as Go prints a reflected value: a nil is ``<invalid reflect.Value>``."""
    return "<invalid reflect.Value>" if value is INVALID else format_operand(value, Verb(letter))


def _format(value: Value, verb: Verb, depth: int) -> str:
    if isinstance(value, Boxed):
        value = unbox(value)
        if value is INVALID:
            return "interface {}(nil)" if verb.has("#") and verb.letter == "v" else _NIL
    text = _own_text(value, verb)
    if text is not None:
        return _string(text, verb, value)
    if isinstance(value, (bool, int, float, complex, str)):
        return _format_basic(value, verb)
    return _format_composite(value, verb, depth)


def _own_text(value: Value, verb: Verb) -> str | None:
    """Return what the value's String method says, if it has one that this verb uses."""
    if verb.plain or verb.letter not in "vsxXq" or (verb.letter == "v" and verb.has("#")):
        return None
    target = value.target if isinstance(value, Pointer) else value
    method = target.text if isinstance(target, (Slice, Mapping, Struct)) else None
    return method() if method else None


def _format_basic(value: bool | float | complex | str, verb: Verb) -> str:
    if isinstance(value, bool):
        return _pad("true" if value else "false", verb) if verb.letter in "tv" else _wrong(value, verb)
    if isinstance(value, int):
        return _integer(value, verb)
    if isinstance(value, float):
        return _float(value, verb)
    if isinstance(value, complex):
        return _complex(value, verb)
    return _string(value, verb, value)


def _format_composite(value: Value, verb: Verb, depth: int) -> str:
    if isinstance(value, bytes):
        if verb.letter in "sxXq":
            return _string(to_text(value), verb, value)
        return "[" + " ".join(str(byte) for byte in value) + "]"
    if isinstance(value, Pointer):
        if depth == 0:
            return "&" + _format(value.target, verb, 1)
        return f"{id(value.target):#x}" if verb.letter in "vpxX" else _wrong(value, verb)
    if isinstance(value, Struct):
        return _format_struct(value, verb, depth)
    go_syntax = verb.has("#") and verb.letter == "v"
    if isinstance(value, (dict, Mapping)):
        parts = [f"{_format(k, verb, depth + 1)}:{_format(v, verb, depth + 1)}" for k, v in sorted_entries(value)]
        return _go_literal(value, parts) if go_syntax else f"map[{' '.join(parts)}]"
    items = value.items if isinstance(value, Slice) else [Boxed(item) for item in value]
    parts = [_format(item, verb, depth + 1) for item in items]
    return _go_literal(value, parts) if go_syntax else f"[{' '.join(parts)}]"


def _format_struct(value: Struct, verb: Verb, depth: int) -> str:
    named = verb.has("+") or verb.has("#")
    parts = [
        (f"{name}:" if named and verb.letter == "v" else "") + _format(item, verb, depth + 1)
        for name, item in value.fields.items()
    ]
    if verb.has("#") and verb.letter == "v":
        return _go_literal(value, parts)
    return "{" + " ".join(parts) + "}"


def _go_literal(value: Value, parts: list[str]) -> str:
    if isinstance(value, Slice) and value.is_nil:
        return f"{type_name(value)}(nil)"
    return f"{type_name(value)}{{{', '.join(parts)}}}"


def _wrong(value: Value, verb: Verb) -> str:
    """Return the text for a verb that does not fit the value."""
    return f"%!{verb.letter}({type_name(value)}={format_operand(value, replace(verb, letter='v', plain=True))})"


def _pad(text: str, verb: Verb, *, zeros: bool = False) -> str:
    missing = (verb.width or 0) - len(text)
    if missing <= 0:
        return text
    if verb.has("-"):
        return text + " " * missing
    if zeros and verb.has("0"):
        sign = text[:1] if text[:1] in ("+", "-", " ") else ""
        return sign + "0" * missing + text[len(sign) :]
    return " " * missing + text


def _string(text: str, verb: Verb, value: Value) -> str:
    letter = verb.letter
    if letter == "v":
        return _pad(go_quote(text) if verb.has("#") else _cut(text, verb), verb)
    if letter == "s":
        return _pad(_cut(text, verb), verb)
    if letter == "q":
        return _pad(_quoted(_cut(text, verb), verb), verb)
    if letter in "xX":
        return _pad(_hexadecimal(to_bytes(text)[: verb.precision], verb), verb)
    return _wrong(value, verb)


def _cut(text: str, verb: Verb) -> str:
    return text if verb.precision is None else text[: verb.precision]


def _quoted(text: str, verb: Verb) -> str:
    if verb.has("#") and "`" not in text and all(c == "\t" or c.isprintable() for c in text):
        return f"`{text}`"
    return go_quote(text, ascii_only=verb.has("+"))


def _hexadecimal(data: bytes, verb: Verb) -> str:
    prefix = "0x" if verb.has("#") else ""
    digits = f" {prefix}".join(f"{byte:02x}" for byte in data) if verb.has(" ") else data.hex()
    text = prefix + digits if digits else ""
    return text.upper() if verb.letter == "X" else text


_BASES: Final = {"d": "d", "v": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
_PREFIXES: Final = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}


def _integer(value: int, verb: Verb) -> str:
    letter = verb.letter
    if letter in "cqU":
        return _pad(_character(value, verb), verb)
    if letter not in _BASES:
        return _wrong(value, verb)
    if letter == "v" and verb.has("#") and isinstance(value, Byte):
        return f"0x{value:x}"
    digits = format(abs(value), _BASES[letter])
    if verb.precision is not None:
        digits = "" if verb.precision == 0 and value == 0 else digits.zfill(verb.precision)
    prefix = "0o" if letter == "O" else _PREFIXES.get(letter, "") if verb.has("#") else ""
    return _pad(_sign(value < 0, verb) + prefix + digits, verb, zeros=verb.precision is None)


def _character(value: int, verb: Verb) -> str:
    character = chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "\ufffd"
    if verb.letter == "c":
        return character
    if verb.letter == "q":
        return go_quote(character, "'", ascii_only=verb.has("+"))
    return f"U+{value:04X}" + (f" '{character}'" if verb.has("#") and character.isprintable() else "")


def _sign(negative: bool, verb: Verb) -> str:
    if negative:
        return "-"
    return "+" if verb.has("+") else " " if verb.has(" ") else ""


def _float(value: float, verb: Verb) -> str:
    if verb.letter not in "vbgGxXfFeE":
        return _wrong(value, verb)
    if not math.isfinite(value):
        text = "NaN" if math.isnan(value) else _sign(value < 0, verb) + "Inf"
        return _pad(text if value < 0 or verb.has("+") or math.isnan(value) else f"+{text}", verb)
    digits = _float_digits(abs(value), verb.letter, verb.precision)
    return _pad(_sign(math.copysign(1, value) < 0, verb) + digits, verb, zeros=True)


def _float_digits(value: float, letter: str, precision: int | None) -> str:
    if letter in "fF":
        return f"{value:.{6 if precision is None else precision}f}"
    if letter in "eE":
        return format(value, f".{6 if precision is None else precision}{letter}")
    if letter in "xX":
        text = _hexadecimal_float(value)
        return text.upper() if letter == "X" else text
    if letter == "b":
        mantissa, exponent = math.frexp(value)
        return f"{int(mantissa * 2**53)}p{exponent - 53:+d}"
    text = gojson.printed(value) if precision is None else format(value, f".{max(precision, 1)}g")
    return text.upper() if letter == "G" else text


def _hexadecimal_float(value: float) -> str:
    mantissa, _, exponent = value.hex().partition("p")
    whole, _, fraction = mantissa.partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}{'.' + fraction if fraction else ''}p{int(exponent):+03d}"


def _complex(value: complex, verb: Verb) -> str:
    if verb.letter not in "vbgGxXfFeE":
        return _wrong(value, verb)
    real = _float(value.real, verb)
    return f"({real}{_float(value.imag, replace(verb, flags=verb.flags + '+'))}i)"
