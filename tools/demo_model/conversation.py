"""What a skill produces and how it becomes text: exchanges, chats and the chat template."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment

Json = dict[str, Any]
TEMPLATE = (Path(__file__).parent / "chat_template.jinja").read_text("utf-8")


@dataclass
class Step:
    """One assistant turn, the messages before it, and the thought that leads to it."""

    before: list[Json]
    thought: str
    content: str = ""
    calls: list[Json] = field(default_factory=list)

    def message(self) -> Json:
        """The assistant's message in OpenAI form."""
        message: Json = {"role": "assistant", "content": self.content}
        if self.calls:
            message["tool_calls"] = [{"type": "function", "function": call} for call in self.calls]
        return message

    def text(self) -> str:
        """The visible answer, as the model has to write it."""
        bodies = [f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>" for call in self.calls]
        return self.content + "\n".join(bodies)


@dataclass
class Exchange:
    """A skill's question and the step or (for a tool) steps that answer it."""

    skill: str
    steps: list[Step]


@dataclass
class Chat:
    """A system text, tools, and the exchanges that follow."""

    system: str
    tools: list[Json]
    exchanges: list[Exchange]


def user(content: str) -> Json:
    """A user message."""
    return {"role": "user", "content": content}


def _tojson(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _compile_template() -> Any:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = _tojson
    return environment.from_string(TEMPLATE)


_COMPILED = _compile_template()


def render(messages: list[Json], tools: list[Json], thinking: bool) -> str:
    """The prompt text that the model completes."""
    text = _COMPILED.render(
        messages=messages, tools=tools or None, add_generation_prompt=True, enable_thinking=thinking
    )
    return str(text)


def messages_before_last(chat: Chat) -> list[Json]:
    """All messages of the chat but the last assistant turn."""
    steps = [step for exchange in chat.exchanges for step in exchange.steps]
    messages: list[Json] = [{"role": "system", "content": chat.system}] if chat.system else []
    for step in steps[:-1]:
        messages += [*step.before, step.message()]
    return messages + steps[-1].before


def completion(step: Step, thinking: bool) -> str:
    """What the model has to write after the prompt, without the end-of-turn token."""
    return (f"<think>\n{step.thought}\n</think>\n\n" if thinking else "") + step.text()


def last_step(chat: Chat) -> Step:
    """The assistant turn that the chat ends with."""
    return chat.exchanges[-1].steps[-1]
