"""Rules of a GBNF grammar, and the ones that every JSON grammar shares."""

from __future__ import annotations

import json
import re
from typing import Final

from pollama.errors import GenerationError

_PRIMITIVES: Final = {
    "space": '| " " | "\\n"{1,2} [ \\t]{0,20}',
    "boolean": '("true" | "false") space',
    "null": '"null" space',
    "digits": "[0-9]{1,16}",
    "whole": '"0" | [1-9] [0-9]{0,15}',
    "integer": '"-"? whole space',
    "number": '"-"? whole ("." digits)? ([eE] [-+]? whole)? space',
    # No escaped surrogates: two of them are one character where lengths are counted, and one alone is none.
    "char": r'[^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" code)',
    "code": "[0-9a-cA-CeEfF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2}",
    "string": r'"\"" char* "\"" space',
    "array": '"[" space (value ("," space value)*)? "]" space',
    "object": '"{" space (string ":" space value ("," space string ":" space value)*)? "}" space',
    "value": "object | array | string | number | boolean | null",
    "date": '[1-9] [0-9]{3} "-" (month-day | long-month "-3" [01] | short-month "-30")',
    "month-day": '("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | "1" [0-9] | "2" [0-8])',
    "long-month": '"0" [13578] | "1" [02]',
    "short-month": '"0" [469] | "11"',
    "time": (
        '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,6})? '
        '("Z" | [-+] ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9])'
    ),
    "date-time": 'date "T" time',
    "uuid": '[0-9a-fA-F]{8} ("-" [0-9a-fA-F]{4}){3} "-" [0-9a-fA-F]{12}',
}
_BLOCK: Final = 1000
_LONGEST_NAME: Final = 60
_WORD: Final = re.compile(r"[a-z][a-z-]*")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]')
_NOT_A_NAME: Final = re.compile(r"[^A-Za-z0-9-]+")


class RuleBook:
    """Named rules; equal names never get different meanings."""

    def __init__(self) -> None:
        self._rules: dict[str, str] = {}
        self._numbers: dict[str, int] = {}

    def primitive(self, name: str) -> str:
        """Return the name of a shared rule, adding it and those it uses."""
        if name not in self._rules:
            body = self._rules[name] = _PRIMITIVES[name]
            for word in _WORD.findall(_QUOTED.sub(" ", body)):
                if word in _PRIMITIVES:
                    self.primitive(word)
        return name

    def reserve(self, wanted: str) -> str:
        """Return an unused rule name like ``wanted``; ``define`` gives it a body."""
        base = _NOT_A_NAME.sub("-", wanted[-_LONGEST_NAME:]).strip("-").lower() or "rule"
        number = self._numbers.get(base, 1)
        name = base if number == 1 else f"{base}-{number}"
        while name in self._rules or name in _PRIMITIVES or name == "root":
            number += 1
            name = f"{base}-{number}"
        self._numbers[base] = number
        self._rules[name] = ""
        return name

    def define(self, name: str, body: str) -> str:
        """Give a reserved name its body; returns the name."""
        self._rules[name] = body
        return name

    def snapshot(self) -> dict[str, str]:
        """Return the rules so far, for ``restore``."""
        return dict(self._rules)

    def restore(self, rules: dict[str, str]) -> None:
        """Forget the rules that came later than a snapshot."""
        self._rules = dict(rules)

    def text(self, start: str) -> str:
        """Return the grammar, beginning with rule ``start``."""
        lines = [f"root ::= {start}"]
        return "\n".join(lines + [f"{name} ::= {body}" for name, body in sorted(self._rules.items())]) + "\n"


def literal(text: str) -> str:
    """Return a GBNF terminal for exactly ``text``. Raises GenerationError (400) for half of a surrogate pair."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise GenerationError("invalid format: half of a surrogate pair is no text", 400)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def json_literal(value: object) -> str:
    """Return a terminal for the compact JSON text of ``value``."""
    return literal(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def class_char(char: str) -> str:
    """Return ``char`` as it is written inside a character class."""
    if char in "\\]^-[" or not char.isprintable():
        return f"\\U{ord(char):08X}"
    return char


def repeated(item: str, least: int, most: int | None) -> str:
    """Return ``item`` between ``least`` and ``most`` times.

    llama.cpp takes large numbers for no bound at all, so many items are counted in blocks.
    """
    if max(least, most or 0) < _BLOCK:
        return f"{item}{{{least},{'' if most is None else most}}}"
    exactly = _exactly(item, least)
    return f"{exactly} {item}*" if most is None else f"{exactly} {_at_most(item, most - least)}".strip()


def _exactly(item: str, count: int) -> str:
    blocks, rest = divmod(count, _BLOCK)
    parts = [f"({item}{{{_BLOCK}}}){{{blocks}}}" if blocks else "", f"{item}{{{rest}}}" if rest else ""]
    return " ".join(filter(None, parts))


def _at_most(item: str, count: int) -> str:
    blocks, rest = divmod(count, _BLOCK)
    if not blocks:
        return f"{item}{{0,{rest}}}"
    block = f"({item}{{{_BLOCK}}})"
    return f"({block}{{0,{blocks - 1}}} {item}{{0,{_BLOCK - 1}}} | {block}{{{blocks}}} {item}{{0,{rest}}})"


def separated(item: str, least: int, most: int | None) -> str:
    """Return a comma-separated list of ``least`` to ``most`` items."""
    if most == 0:
        return '""'
    rest = repeated(f'("," space {item})', max(least - 1, 0), None if most is None else most - 1)
    return f"{item} {rest}" if least else f"({item} {rest})?"


def other_string(names: list[str]) -> str:
    """Return an expression for a JSON string that is none of ``names``. Uses the shared rule ``char``."""
    tree: dict[str, dict[str, object]] = {}
    for name in names:
        node = tree
        for char in json.dumps(name, ensure_ascii=False)[1:-1]:
            node = node.setdefault(char, {})  # type: ignore[assignment]
        node[""] = {}
    return f'"\\"" {_other_content(tree)} "\\"" space'


def _other_content(node: dict[str, dict[str, object]]) -> str:
    following = {char: child for char, child in node.items() if char}
    excluded = "".join(class_char(char) for char in following)
    branches = [f"{literal(char)} {_other_content(child)}" for char, child in following.items()]  # type: ignore[arg-type]
    branches.append(f'[^"\\\\\\x7F\\x00-\\x1F{excluded}] char*')
    return f"({' | '.join(branches)}){'' if '' in node else '?'}"
