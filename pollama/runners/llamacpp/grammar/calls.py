"""Grammars of answers in which tools may be called.

Text is free until a tag begins a call; from there to the end of the call only a call of a known tool will do. So the
grammar does nothing before the tag, like a sampler that a tag triggers, but it is in force from the first token: there
is no text that was chosen before the tag was complete and that the grammar then cannot continue.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from pollama.errors import GenerationError
from pollama.runners.llamacpp.grammar.rules import RuleBook, class_char, literal
from pollama.runners.llamacpp.grammar.schema import SchemaCompiler
from pollama.types.generation import OPEN_SPACE, CallRule
from pollama.types.json import Json

_LOG: Final = logging.getLogger(__name__)
_BLANK: Final = " \\t\\r\\n"
_LONGEST_NAME: Final = 256
"""Longer names of tools do not tell a call from other text."""
_LIST: Final = '"[" space '


def call_grammar(rule: CallRule) -> str:
    """Return the grammar of answers whose calls follow ``rule``."""
    return _CallCompiler(rule).grammar()


class _CallCompiler:
    """Compiles one rule."""

    def __init__(self, rule: CallRule) -> None:
        self._rule = rule
        self._format = rule.format
        self._book = RuleBook()
        self._book.primitive("space")
        self._calls = self._book.reserve("calls")
        self._more = self._book.reserve("more") if rule.format.listed else ""
        # The rules for text of which the first 0, 1, ... characters of the tag are the end.
        self._text = self._until(rule.format.tag, self._calls, "text") or [self._define("text", ".*")]

    def grammar(self) -> str:
        """Return the grammar."""
        tails = {self._written(name): self._tail(name, schema) for name, schema in self._rule.tools.items()}
        named = self._define("named", " | ".join(f"{literal(name)} {tail}" for name, tail in tails.items()))
        call = f"{_one_of(self._format.before)} {named}".strip()
        if self._format.listed:  # every brace behind a call begins another one
            self._book.define(self._more, f"[^{{]* ({call.removeprefix(_LIST)} {self._more})?")
        self._book.define(self._calls, self._after_tag(call))
        if self._rule.required:
            answer = f"space {literal(self._format.lead + self._format.tag)} {self._calls}"
        else:
            answer = self._text[0] if self._format.tag else self._unless_call(tails)
        return self._book.text(self._behind_thought(answer))

    def _define(self, name: str, body: str) -> str:
        return self._book.define(self._book.reserve(name), body)

    def _after_tag(self, call: str) -> str:
        """Return the expression for what stands behind a tag, to the end of the answer."""
        if self._format.listed:
            bracket = 'space ("[" space)? ' if self._format.tag else ""
            return f"{bracket}{call} {self._more}"
        return call if self._format.single else f"{call} {self._text[0]}"

    def _behind_thought(self, answer: str) -> str:
        if self._rule.thought is None:
            return answer
        opening, closing = self._rule.thought
        thought = self._until(closing, answer, "thought", may_end=not self._rule.required)[0]
        return thought if self._rule.inside_thought else f"[{_BLANK}]* {literal(opening)} {thought} | {answer}"

    def _written(self, name: str) -> str:
        """Return the name of a tool as it stands in a call."""
        is_quoted = self._format.before[0].endswith('"')
        return json.dumps(name, ensure_ascii=False)[1:-1] if is_quoted else name

    def _tail(self, name: str, schema: Json) -> str:
        """Return the rule for the call of one tool, from behind its name to its end."""
        parts = [_one_of(self._format.between)]
        if self._format.json:
            parts += [self._arguments(name, schema), _spaced(self._format.behind)]
        return self._define(f"{name}-call", " ".join(filter(None, parts)))

    def _arguments(self, name: str, schema: Json) -> str:
        """Return the rule for the arguments of a tool; any object where their schema cannot be enforced."""
        rules = self._book.snapshot()
        try:
            return SchemaCompiler(schema, self._book).rule(f"{name}-arguments")
        except GenerationError as refusal:
            _LOG.debug("the arguments of tool %s may be any object: %s", name, refusal)
            self._book.restore(rules)
            return self._book.primitive("object")

    def _until(self, tag: str, following: str, name: str, *, may_end: bool = True) -> list[str]:
        """Return the rules for text in which ``tag`` leads to ``following``, and which may end anywhere else.

        One for each beginning of the tag that the text may end with, as in the search of Knuth, Morris and Pratt.
        """
        states = [self._book.reserve(name) for _ in tag]
        for matched, state in enumerate(states):
            sizes = {char: _matched(tag, tag[:matched] + char) for char in dict.fromkeys(tag)}
            onwards = {char: following if size == len(tag) else states[size] for char, size in sizes.items() if size}
            ways = [f"{literal(char)} {rule}" for char, rule in onwards.items()]
            ways += [f"{_none_of(*onwards, blank=False)} {states[0]}", *(['""'] if may_end else [])]
            self._book.define(state, " | ".join(ways))
        return states

    def _unless_call(self, tails: Mapping[str, str]) -> str:
        """Return the rule for an answer that consists of calls if it begins like one, with the name of a tool."""
        rest = self._name_or_text("", {name: tail for name, tail in tails.items() if len(name) <= _LONGEST_NAME})
        for part in reversed(self._format.before[0].split(OPEN_SPACE)):
            for index in range(len(part) - 1, -1, -1):
                rest = self._step(part[index], rest, skips=not index)
        return rest

    def _name_or_text(self, begun: str, tails: Mapping[str, str]) -> str:
        """Return the rule for what follows the beginning of a tool's name: its rest and the call, or any other text."""
        names = [name for name in tails if name.startswith(begun)]
        following = dict.fromkeys(name[len(begun)] for name in names if name != begun)
        ways = [f"{literal(char)} {self._name_or_text(begun + char, tails)}" for char in following]
        if begun in tails:
            ways.append(f"{tails[begun]} {self._more}")
        other = _none_of(*following, *('"' if begun in tails else ""), blank=False)
        return self._define("name", f"({' | '.join([*ways, f'{other} {self._text[0]}'])})?")

    def _step(self, char: str, following: str, *, skips: bool) -> str:
        """Return the rule for ``following`` behind a character, with white space before it, or any other text."""
        ways = f"({literal(char)} {following} | {_none_of(char, blank=skips)} {self._text[0]})?"
        return self._define("start", f"[{_BLANK}]* {ways}" if skips else ways)


def _matched(tag: str, text: str) -> int:
    """Return the length of the longest beginning of ``tag`` that ``text`` ends with."""
    return next(size for size in range(min(len(tag), len(text)), -1, -1) if text.endswith(tag[:size]))


def _none_of(*characters: str, blank: bool = True) -> str:
    """Return an expression for one character that is none of these, nor white space where ``blank`` excludes it."""
    return f"[^{''.join(map(class_char, filter(None, characters)))}{_BLANK if blank else ''}]"


def _one_of(alternatives: Sequence[str]) -> str:
    expressions = [_spaced(text) or '""' for text in alternatives]
    if expressions == ['""']:
        return ""
    return expressions[0] if len(expressions) == 1 else f"({' | '.join(expressions)})"


def _spaced(text: str) -> str:
    """Return an expression for ``text`` of a format."""
    parts = [literal(part) if part else "" for part in text.split(OPEN_SPACE)]
    return " space ".join(parts).strip()
