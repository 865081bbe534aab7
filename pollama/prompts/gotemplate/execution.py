"""What the execution of a Go template carries along: its data, variables, place, and what it may still spend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pollama.prompts.gotemplate import nodes
from pollama.prompts.gotemplate.functions import Function
from pollama.prompts.gotemplate.parser import Trees
from pollama.prompts.gotemplate.values import Value
from pollama.types.goquote import go_quote

MAX_STEPS: Final = 500_000
"""Nodes that one execution may visit, and turns of its loops: far above any real prompt."""
MAX_OUTPUT: Final = 64 * 2**20
"""Characters that one execution, or one value in it, may have."""
MAX_DEPTH: Final = 60
"""Templates that may be open inside each other. Go allows 100000, which no template needs."""


class ExecutionError(Exception):
    """The text of a failed execution, with place and node."""


@dataclass(frozen=True, slots=True)
class Program:
    """What all templates of one execution share."""

    source: str
    trees: Trees
    functions: Mapping[str, Function]


class Budget:
    """Steps and characters that an execution may still spend."""

    def __init__(self) -> None:
        self.steps = MAX_STEPS
        self.characters = MAX_OUTPUT


class Execution:
    """The execution of one template; an invoked template gets one of its own with the same output."""

    def __init__(self, program: Program, dot: Value, name: str = "", parent: Execution | None = None) -> None:
        self._program = program
        self._name = name
        self._dot = dot
        self._variables: list[tuple[str, Value]] = [("$", dot)]
        self._node: nodes.AnyNode | None = None
        self._depth: int = parent._depth + 1 if parent else 0
        self._budget: Budget = parent._budget if parent else Budget()
        self.output: list[str] = parent.output if parent else []

    def _write(self, text: str) -> None:
        self._spend_characters(text)
        self._budget.characters -= len(text)
        self.output.append(text)

    def _get(self, name: str) -> Value:
        for known, value in reversed(self._variables):
            if known == name:
                return value
        raise self._error(f"undefined variable: {name}")

    def _set(self, name: str, value: Value) -> None:
        for place in range(len(self._variables) - 1, -1, -1):
            if self._variables[place][0] == name:
                self._variables[place] = (name, value)
                return
        raise self._error(f"undefined variable: {name}")

    def _at(self, node: nodes.AnyNode) -> None:
        """Remember the node that an error would name."""
        self._node = node
        self._spend_step()

    def _node_or_root(self) -> nodes.AnyNode:
        return self._node if self._node is not None else nodes.Block(0)

    def _spend_step(self) -> None:
        self._budget.steps -= 1
        if self._budget.steps < 0:
            raise self._error(f"execution takes more than {MAX_STEPS} steps")

    def _spend_characters(self, text: str) -> None:
        if len(text) > self._budget.characters:
            raise self._error(f"output is larger than {MAX_OUTPUT} characters")

    def _error(self, message: str) -> ExecutionError:
        node = self._node_or_root()
        before = self._program.source[: node.position]
        line = before.rpartition("\n")[2]
        place = f"{before.count(chr(10)) + 1}:{len(line.encode('utf-8', 'surrogateescape'))}"
        return ExecutionError(f"template: :{place}: executing {go_quote(self._name)} at <{node}>: {message}")
