"""A parsed Go template and Ollama's three ways to execute it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Final

from pollama.errors import TemplateError
from pollama.prompts.gotemplate import nodes, tags
from pollama.prompts.gotemplate.collate import collate
from pollama.prompts.gotemplate.cut import cut_after_response
from pollama.prompts.gotemplate.data import message_values, tool_values
from pollama.prompts.gotemplate.evaluate import execute
from pollama.prompts.gotemplate.functions import BUILTINS, CUSTOM
from pollama.prompts.gotemplate.parser import Trees, parse
from pollama.prompts.gotemplate.values import Value
from pollama.types.messages import Message, Tool

_FUNCTIONS: Final = BUILTINS | CUSTOM
DEFAULT_TEMPLATE: Final = "{{ .Prompt }}"
"""What a model without a template is driven with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateValues:
    """What a template is executed with. ``prompt`` and ``suffix`` together mean infill."""

    messages: Sequence[Message] = ()
    tools: Sequence[Tool] = ()
    prompt: str = ""
    suffix: str = ""
    think: bool = False
    think_level: str = ""
    is_think_set: bool = False

    def thinking(self) -> dict[str, Value]:
        """Return the three values about thinking that every mode has."""
        return {"Think": self.think, "ThinkLevel": self.think_level, "IsThinkSet": self.is_think_set}


class GoTemplate:
    """A template that has been parsed. Use ``parse_template``, which remembers."""

    def __init__(self, source: str) -> None:
        """Parse. Raises TemplateError with Go's text."""
        self.source: Final = source
        self._trees: Trees = parse(source, _FUNCTIONS)
        if any(_lacks_argument(tree) for tree in self._trees.values()):
            raise TemplateError("undefined template specified")
        if not self.variables & {"messages", "response"}:
            self._trees[""].nodes.append(_RESPONSE)
            del self.variables

    @cached_property
    def variables(self) -> frozenset[str]:
        """Lower-cased names of all fields and variables."""
        return tags.variables(self._trees)

    @cached_property
    def tool_tag(self) -> str:
        """The text that begins tool calls; ``{`` where the template shows none."""
        return tags.tool_tag(self._trees[""])

    @cached_property
    def thinking_tags(self) -> tuple[str, str]:
        """The texts around thinking; either may be empty."""
        return tags.thinking_tags(self._trees[""])

    def render(self, values: TemplateValues) -> str:
        """Return the prompt. Raises TemplateError with Go's text."""
        if values.prompt and values.suffix:
            return self._execute(
                {"Prompt": values.prompt, "Suffix": values.suffix, "Response": "", **values.thinking()}
            )
        messages, system = collate(values.messages)
        if "messages" in self.variables:
            data = {"System": system, "Messages": message_values(messages), "Tools": tool_values(values.tools)}
            return self._execute({**data, "Response": "", **values.thinking()})
        return self._replay(messages, values.thinking())

    def _replay(self, messages: Sequence[Message], thinking: dict[str, Value]) -> str:
        """Execute a template that knows one turn only once per turn; the last turn ends where the answer begins."""
        turn = _Turn()
        parts: list[str] = []
        for message in messages:
            if turn.is_complete_before(message.role):
                parts.append(self._execute({**turn.values(), **thinking}))
                turn = _Turn()
            turn.take(message)
        last = {"": cut_after_response(self._trees[""])}
        parts.append(execute(self.source, last, BUILTINS, {**turn.values(), **thinking}))
        return "".join(parts)

    def _execute(self, data: dict[str, Value]) -> str:
        return execute(self.source, self._trees, _FUNCTIONS, data)


@dataclass(slots=True)
class _Turn:
    """System text, user text and answer of one turn."""

    texts: dict[str, str] = field(default_factory=lambda: {"system": "", "user": "", "assistant": ""})

    def is_complete_before(self, role: str) -> bool:
        """Tell whether a message of this role begins the next turn."""
        if role == "system":
            return bool(self.texts["user"] or self.texts["assistant"])
        return role == "user" and bool(self.texts["assistant"])

    def take(self, message: Message) -> None:
        """Add a message; roles that a turn does not have are dropped."""
        if message.role in self.texts:
            self.texts[message.role] = message.content

    def values(self) -> dict[str, Value]:
        """Return the turn as the template sees it."""
        return {"System": self.texts["system"], "Prompt": self.texts["user"], "Response": self.texts["assistant"]}


def _appended_response() -> nodes.Action:
    return nodes.Action(3, nodes.Pipe(3, commands=[nodes.Command(3, [nodes.Field(3, ["Response"])])]))


_RESPONSE: Final = _appended_response()


def _lacks_argument(node: nodes.AnyNode) -> bool:
    if isinstance(node, nodes.Invocation):
        return node.pipe is None
    return any(map(_lacks_argument, nodes.children(node)))


@lru_cache(maxsize=256)
def parse_template(source: str) -> GoTemplate:
    """Return the parsed template. Raises TemplateError with Go's text."""
    return GoTemplate(source)
