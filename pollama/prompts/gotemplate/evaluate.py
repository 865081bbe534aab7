"""Executes a Go template tree. Error texts and the node that they name are those of Go's ``text/template``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from typing import Final

from pollama.errors import TemplateError
from pollama.prompts.gotemplate import nodes
from pollama.prompts.gotemplate.compare import CallError
from pollama.prompts.gotemplate.execution import MAX_DEPTH, Execution, ExecutionError, Program
from pollama.prompts.gotemplate.formatting import format_static, sprint
from pollama.prompts.gotemplate.functions import Function, Parameter, printable
from pollama.prompts.gotemplate.parser import Trees
from pollama.prompts.gotemplate.values import (
    INVALID,
    Mapping,
    Slice,
    Struct,
    Value,
    dereference,
    element,
    entry,
    length,
    sorted_entries,
    truth,
    type_name,
    unbox,
)
from pollama.types.goquote import go_quote

_TOO_DEEP: Final = "exceeded maximum template depth (100000)"


@dataclass(frozen=True, slots=True)
class _Given:
    """The arguments of an operand: its own, and the value piped into it (None = nothing is piped)."""

    operands: Sequence[nodes.Operand] = ()
    piped: Value = None

    def __bool__(self) -> bool:
        return bool(self.operands) or self.piped is not None


_NOTHING: Final = _Given()


def execute(source: str, trees: Trees, functions: AbstractMapping[str, Function], data: dict[str, Value]) -> str:
    """Return the output of the template ``""`` for ``data``. Raises TemplateError with Go's text."""
    state = _State(Program(source, trees, functions), data)
    try:
        state.run(trees[""])
    except ExecutionError as error:
        raise TemplateError(str(error)) from None
    except RecursionError:
        raise TemplateError(f"template: : {_TOO_DEEP}") from None
    return "".join(state.output)


class _Jump(Exception):  # noqa: N818
    """Control flow of ``break`` and ``continue``."""

    def __init__(self, keyword: str) -> None:
        super().__init__(keyword)
        self.keyword = keyword


class _State(Execution):
    """Walks the tree of one template."""

    def run(self, tree: nodes.Block) -> None:
        """Execute a tree."""
        self._walk_block(self._dot, tree)

    # Statements.

    def _walk_block(self, dot: Value, block: nodes.Block) -> None:
        for node in block.nodes:
            self._walk(dot, node)

    def _walk(self, dot: Value, node: nodes.Node) -> None:
        self._at(node)
        if isinstance(node, nodes.Text):
            self._write(node.text)
        elif isinstance(node, nodes.Action):
            value = self._pipeline(dot, node.pipe)
            if not node.pipe.variables:
                self._at(node)
                self._write(sprint([printable(value)]))
        elif isinstance(node, nodes.Branch):
            self._walk_branch(dot, node)
        elif isinstance(node, nodes.Invocation):
            self._walk_invocation(dot, node)
        else:
            raise _Jump(node.keyword)

    def _walk_branch(self, dot: Value, node: nodes.Branch) -> None:
        known = len(self._variables)
        try:
            if node.keyword == "range":
                self._walk_range(dot, node)
                return
            value = self._pipeline(dot, node.pipe)
            if truth(value):
                self._walk_block(value if node.keyword == "with" else dot, node.body)
            elif node.otherwise:
                self._walk_block(dot, node.otherwise)
        finally:
            del self._variables[known:]

    def _walk_range(self, dot: Value, node: nodes.Branch) -> None:
        value = dereference(self._pipeline(dot, node.pipe))
        known = len(self._variables)
        ran = False
        for index, item in self._iterate(value, len(node.pipe.variables)):
            ran = True
            self._spend_step()
            self._bind(node.pipe, index, item)
            try:
                self._walk_block(item, node.body)
            except _Jump as jump:
                if jump.keyword == "break":
                    break
            finally:
                del self._variables[known:]
        if not ran and node.otherwise:
            self._walk_block(dot, node.otherwise)

    def _iterate(self, value: Value, variables: int) -> Iterator[tuple[Value, Value]]:
        if isinstance(value, (list, Slice, bytes)):
            return ((index, element(value, index)) for index in range(length(value) or 0))
        if isinstance(value, (dict, Mapping)):
            return iter(sorted_entries(value))
        if isinstance(value, int) and not isinstance(value, bool):
            if variables > 1:
                raise self._error(f"can't use {value} to iterate over more than one variable")
            return ((INVALID, number) for number in range(value))
        if value is INVALID:
            return iter(())
        raise self._error(f"range can't iterate over {format_static(value, 'v')}")

    def _bind(self, pipe: nodes.Pipe, index: Value, item: Value) -> None:
        """Give the loop's variables their values; a single variable takes the element."""
        values = [item] if len(pipe.variables) == 1 else [index, item]
        for offset, (variable, value) in enumerate(zip(pipe.variables, values, strict=False)):
            if pipe.assigns:
                self._set(variable.names[0], value)
            else:
                place = len(self._variables) - len(pipe.variables) + offset
                self._variables[place] = (variable.names[0], value)

    def _walk_invocation(self, dot: Value, node: nodes.Invocation) -> None:
        self._at(node)
        tree = self._program.trees.get(node.name)
        if tree is None:
            raise self._error(f"template {go_quote(node.name)} not defined")
        if self._depth >= MAX_DEPTH:
            raise self._error(_TOO_DEEP)
        argument = self._pipeline(dot, node.pipe) if node.pipe else INVALID
        _State(self._program, argument, node.name, self).run(tree)

    # Pipelines and commands.

    def _pipeline(self, dot: Value, pipe: nodes.Pipe) -> Value:
        self._at(pipe)
        value: Value = None
        for command in pipe.commands:
            value = unbox(self._command(dot, command, value))
        for variable in pipe.variables:
            if pipe.assigns:
                self._set(variable.names[0], value)
            else:
                self._variables.append((variable.names[0], value))
        return value

    def _command(self, dot: Value, command: nodes.Command, piped: Value) -> Value:
        first, given = command.operands[0], _Given(command.operands[1:], piped)
        match first:
            case nodes.Field():
                return self._field(dot, first, given)
            case nodes.Chain():
                return self._chain(dot, first, given)
            case nodes.Variable():
                return self._variable(dot, first, given)
            case nodes.Identifier():
                return self._function(dot, first, command, given)
            case nodes.Pipe():
                self._refuse_arguments(first, given)
                return self._pipeline(dot, first)
        self._at(first)
        self._refuse_arguments(first, given)
        if isinstance(first, nodes.Nil):
            raise self._error("nil is not a command")
        return self._constant(dot, first)

    def _constant(self, dot: Value, node: nodes.Dot | nodes.Bool | nodes.Number | nodes.String) -> Value:
        if isinstance(node, nodes.Dot):
            return dot
        if isinstance(node, nodes.String):
            return node.text
        if isinstance(node.value, OverflowError):
            raise self._error(str(node.value))
        return node.value

    def _refuse_arguments(self, first: nodes.Operand, given: _Given) -> None:
        if given:
            raise self._error(f"can't give argument to non-function {first}")

    def _field(self, dot: Value, node: nodes.Field, given: _Given) -> Value:
        self._at(node)
        return self._fields(dot, dot, node.names, given)

    def _chain(self, dot: Value, node: nodes.Chain, given: _Given) -> Value:
        self._at(node)
        if isinstance(node.base, nodes.Nil):
            raise self._error(f"indirection through explicit nil in {node}")
        return self._fields(dot, self._argument(dot, "value", node.base), node.names, given)

    def _variable(self, dot: Value, node: nodes.Variable, given: _Given) -> Value:
        self._at(node)
        value = self._get(node.names[0])
        if len(node.names) == 1:
            self._refuse_arguments(node, given)
            return value
        return self._fields(dot, value, node.names[1:], given)

    def _fields(self, dot: Value, receiver: Value, names: list[str], given: _Given) -> Value:
        for name in names[:-1]:
            receiver = self._one_field(dot, receiver, name, _NOTHING)
        return self._one_field(dot, receiver, names[-1], given)

    def _one_field(self, dot: Value, receiver: Value, name: str, given: _Given) -> Value:
        if receiver is INVALID:
            return INVALID
        target = dereference(receiver)
        if target is INVALID:
            raise self._error(f"nil pointer evaluating {type_name(receiver)}.{name}")
        method = _method(target, name)
        if method:
            return self._call(dot, Function(name, method, ()), self._node_or_root(), given)
        if isinstance(target, (dict, Mapping)):
            self._refuse_field_arguments(f"{name} is not a method but has arguments", given)
            return entry(target, name)
        if isinstance(target, Struct) and name in target.fields:
            self._refuse_field_arguments(f"{name} has arguments but cannot be invoked as function", given)
            return target.fields[name]
        raise self._error(f"can't evaluate field {name} in type {type_name(receiver)}")

    def _refuse_field_arguments(self, message: str, given: _Given) -> None:
        if given:
            raise self._error(message)

    # Calls.

    def _function(
        self,
        dot: Value,
        node: nodes.Identifier,
        command: nodes.Command | nodes.Identifier,
        given: _Given,
    ) -> Value:
        self._at(node)
        function = self._program.functions.get(node.name)
        if function is None:
            raise self._error(f"{go_quote(node.name)} is not a defined function")
        return self._call(dot, function, command, given)

    def _call(self, dot: Value, function: Function, node: nodes.AnyNode, given: _Given) -> Value:
        name = function.name
        self._check_count(function, given)
        if name in ("and", "or"):
            return self._short_circuit(dot, name, given)
        values = [self._argument(dot, function.parameter(i), item) for i, item in enumerate(given.operands)]
        if given.piped is not None:
            values.append(self._validated(given.piped, function.parameter(len(values))))
        if name == "call":
            values.insert(0, str(given.operands[0]) if given.operands else sprint(values))
        try:
            value = function.call(*values)
        except CallError as error:
            self._at(node)
            raise self._error(f"error calling {name}: {error}") from None
        if isinstance(value, str):
            self._spend_characters(value)
        return value

    def _check_count(self, function: Function, given: _Given) -> None:
        name = function.name
        own = len(given.operands)
        total = own + (given.piped is not None)
        if function.variadic and total < function.required:
            raise self._error(f"wrong number of args for {name}: want at least {function.required} got {own}")
        if not function.variadic and total != function.required:
            raise self._error(f"wrong number of args for {name}: want {function.required} got {total}")

    def _short_circuit(self, dot: Value, name: str, given: _Given) -> Value:
        value: Value = INVALID
        for node in given.operands:
            value = self._argument(dot, "value", node)
            if truth(value) == (name == "or"):
                return value
        return value if given.piped is None else given.piped

    def _argument(self, dot: Value, wanted: Parameter, node: nodes.Operand) -> Value:
        self._at(node)
        match node:
            case nodes.Nil():
                if wanted == "string":
                    raise self._error("cannot assign nil to string")
                return INVALID
            case nodes.Dot():
                return self._validated(dot, wanted)
            case nodes.Field():
                return self._validated(self._field(dot, node, _NOTHING), wanted)
            case nodes.Variable():
                return self._validated(self._variable(dot, node, _NOTHING), wanted)
            case nodes.Pipe():
                return self._validated(self._pipeline(dot, node), wanted)
            case nodes.Identifier():
                return self._validated(self._function(dot, node, node, _NOTHING), wanted)
            case nodes.Chain():
                return self._validated(self._chain(dot, node, _NOTHING), wanted)
        if wanted == "string" and not isinstance(node, nodes.String):
            raise self._error(f"expected string; found {node}")
        return self._constant(dot, node)

    def _validated(self, value: Value, wanted: Parameter) -> Value:
        """Return an argument as its parameter takes it."""
        if wanted != "string":
            return value
        if value is INVALID:
            raise self._error("invalid value; expected string")
        bare = unbox(value)
        if not isinstance(bare, str):
            shown = type_name(value) if bare is INVALID else type_name(bare)
            raise self._error(f"wrong type for value; expected string; got {shown}")
        return bare


def _method(target: Value, name: str) -> Callable[[], Value] | None:
    if isinstance(target, Struct):
        return target.methods.get(name)
    if name == "String" and isinstance(target, (Slice, Mapping)):
        return target.text
    return None
