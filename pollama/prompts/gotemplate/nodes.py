"""The parse tree of a Go template. ``str(node)`` is the node's source form, as error texts quote it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pollama.types.goquote import go_quote


@dataclass(slots=True, eq=False)
class Text:
    """Literal text."""

    position: int
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True, eq=False)
class Dot:
    """The cursor, ``.``."""

    position: int

    def __str__(self) -> str:
        return "."


@dataclass(slots=True, eq=False)
class Nil:
    """The constant ``nil``."""

    position: int

    def __str__(self) -> str:
        return "nil"


@dataclass(slots=True, eq=False)
class Bool:
    """``true`` or ``false``."""

    position: int
    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(slots=True, eq=False)
class Number:
    """A numeric constant: its source and the value it has where no type is asked for.

    ``value`` is an ``OverflowError`` when the constant is an integer too large for Go's ``int``.
    """

    position: int
    source: str
    value: int | float | complex | OverflowError

    def __str__(self) -> str:
        return self.source


@dataclass(slots=True, eq=False)
class String:
    """A string constant: its source with quotes, and the text it stands for."""

    position: int
    source: str
    text: str

    def __str__(self) -> str:
        return self.source


@dataclass(slots=True, eq=False)
class Identifier:
    """The name of a function."""

    position: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True, eq=False)
class Field:
    """Fields of the cursor, ``.A.B``."""

    position: int
    names: list[str]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(slots=True, eq=False)
class Variable:
    """A variable with fields, ``$x.A``; ``names[0]`` is the variable."""

    position: int
    names: list[str]

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(slots=True, eq=False)
class Chain:
    """Fields of a parenthesised pipeline or a function, ``(f .X).A``."""

    position: int
    base: Operand
    names: list[str]

    def __str__(self) -> str:
        base = f"({self.base})" if isinstance(self.base, Pipe) else str(self.base)
        return base + "".join(f".{name}" for name in self.names)


@dataclass(slots=True, eq=False)
class Command:
    """One stage of a pipeline: an operand with its arguments."""

    position: int
    operands: list[Operand] = field(default_factory=list)

    def __str__(self) -> str:
        return " ".join(f"({item})" if isinstance(item, Pipe) else str(item) for item in self.operands)


@dataclass(slots=True, eq=False)
class Pipe:
    """A pipeline, with the variables it declares or (``assigns``) sets."""

    position: int
    variables: list[Variable] = field(default_factory=list)
    assigns: bool = False
    commands: list[Command] = field(default_factory=list)

    def __str__(self) -> str:
        commands = " | ".join(map(str, self.commands))
        if not self.variables:
            return commands
        return f"{', '.join(map(str, self.variables))} {'=' if self.assigns else ':='} {commands}"


@dataclass(slots=True, eq=False)
class Block:
    """A sequence of nodes."""

    position: int
    nodes: list[Node] = field(default_factory=list)

    def __str__(self) -> str:
        return "".join(map(str, self.nodes))


@dataclass(slots=True, eq=False)
class Action:
    """``{{ pipeline }}``."""

    position: int
    pipe: Pipe

    def __str__(self) -> str:
        return "{{" + str(self.pipe) + "}}"


@dataclass(slots=True, eq=False)
class Branch:
    """``if``, ``range`` or ``with``."""

    position: int
    keyword: Literal["if", "range", "with"]
    pipe: Pipe
    body: Block
    otherwise: Block | None

    def __str__(self) -> str:
        otherwise = "" if self.otherwise is None else "{{else}}" + str(self.otherwise)
        return "{{" + f"{self.keyword} {self.pipe}" + "}}" + f"{self.body}{otherwise}" + "{{end}}"


@dataclass(slots=True, eq=False)
class Jump:
    """``break`` or ``continue``."""

    position: int
    keyword: Literal["break", "continue"]

    def __str__(self) -> str:
        return "{{" + self.keyword + "}}"


@dataclass(slots=True, eq=False)
class Invocation:
    """``{{ template "name" pipeline }}``; ``pipe`` None = no argument."""

    position: int
    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        argument = "" if self.pipe is None else f" {self.pipe}"
        return "{{template " + go_quote(self.name) + argument + "}}"


Operand: TypeAlias = Dot | Nil | Bool | Number | String | Identifier | Field | Variable | Chain | Pipe
Node: TypeAlias = Text | Action | Branch | Jump | Invocation
AnyNode: TypeAlias = Node | Operand | Command | Block


def children(node: AnyNode) -> Sequence[AnyNode]:
    """Return the direct parts of a node in source order, declared variables left out; an else branch comes last."""
    match node:
        case Block():
            return node.nodes
        case Action():
            return [node.pipe]
        case Branch():
            return [node.pipe, node.body, *([node.otherwise] if node.otherwise else [])]
        case Invocation():
            return [node.pipe] if node.pipe else []
        case Pipe():
            return node.commands
        case Command():
            return node.operands
        case Chain():
            return [node.base]
        case _:
            return []
