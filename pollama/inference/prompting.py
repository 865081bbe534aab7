"""Step 5 of a request: from messages or a text to what goes to the runner, and how its answer is to be read."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from pollama.inference.pieces import Answer
from pollama.prompts.assemble import chat_messages
from pollama.prompts.native import SpecialTexts
from pollama.prompts.reading import Reading, chat_reading, completion_reading, content_reading
from pollama.prompts.render import Conversation, Prompt, completion_conversation, direct_prompt
from pollama.prompts.truncate import fit_history
from pollama.types.messages import Message, Think
from pollama.types.model import Model
from pollama.types.ports import Runner
from pollama.types.requests import ChatRequest, CompletionRequest

MEDIA_MARKER: Final = f"<__media_{secrets.token_hex(16)}__>"
"""Stands for an image or a sound in a prompt; nobody outside can know it, so no message can contain it."""


_HARMONY_ANSWER: Final = "<|end|><|start|>assistant<|channel|>final<|message|>"
"""Ends the thinking of a gpt-oss model and begins its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompted:
    """A prompt and how its answer is to be read.

    ``shown`` is the prompt with ``[img-N]`` for its media, ``text`` what the engine gets. ``native``: the GGUF's own
    template drives the conversation, in which case the prompt is never cut.
    """

    text: str
    shown: str
    media: Sequence[bytes]
    native: bool
    reading: Reading

    def continued(self, text: str) -> Prompted:
        """Return the prompt that goes on behind ``text``, the beginning of the answer; all that follows is content."""
        reading = content_reading(self.reading)
        return replace(self, text=self.text + text, shown=self.shown + text, reading=reading)


class Prompter(Protocol):
    """Makes the prompts of one request."""

    async def prompt(self, runner: Runner, context_length: int) -> Prompted:
        """Return the prompt, with history dropped where it would not fit. Raises TemplateError or RenderError."""
        ...

    async def after_thinking(self, prompted: Prompted, draft: Answer, runner: Runner, context_length: int) -> Prompted:
        """Return the prompt for what follows the thinking of ``draft``. Raises as ``prompt``."""
        ...


class ChatPrompter:
    """Prompts of conversations."""

    def __init__(self, model: Model, request: ChatRequest, think: Think) -> None:
        self._model = model
        self._request = request
        self._think = think
        self._messages = chat_messages(model, request.messages)

    async def prompt(self, runner: Runner, context_length: int) -> Prompted:
        """Return the prompt of the conversation."""
        prompt = await self._fitted(self._messages, runner, context_length)
        reading = chat_reading(self._model, self._request, self._think, prompt.text)
        return _prompted(prompt, runner, reading, native=self._model.traits.mode == "native")

    async def after_thinking(self, prompted: Prompted, draft: Answer, runner: Runner, context_length: int) -> Prompted:
        """Return the prompt made again with the thinking in it, as Ollama does where it makes prompts itself.

        Elsewhere, and where the answer has begun without thinking, the model goes on with what it has written.
        """
        if prompted.native or not draft.thought:
            return prompted.continued(draft.text_before_content)
        messages = [*self._messages, Message(role="assistant", thinking=draft.thought)]
        prompt = await self._fitted(messages, runner, context_length)
        suffix = _HARMONY_ANSWER if self._model.traits.selected == "harmony" else ""
        prompt = replace(prompt, text=prompt.text + suffix)
        return _prompted(prompt, runner, content_reading(prompted.reading), native=False)

    async def _fitted(self, messages: Sequence[Message], runner: Runner, context_length: int) -> Prompt:
        conversation = Conversation(
            model=self._model,
            messages=messages,
            tools=self._request.offered_tools,
            think=self._think,
            special=_special(runner),
        )
        return await _fitted(conversation, self._request.truncate, runner, context_length)


class CompletionPrompter:
    """Prompts of single texts. They run as plain completions, whichever template made them."""

    def __init__(self, model: Model, request: CompletionRequest, think: Think) -> None:
        self._model = model
        self._request = request
        self._think = think

    async def prompt(self, runner: Runner, context_length: int) -> Prompted:
        """Return the prompt, behind the text of ``context`` when the request carries one."""
        request = self._request
        prompt = await self._direct()
        if prompt is None:
            conversation = completion_conversation(self._model, request, self._think, _special(runner))
            prompt = await _fitted(conversation, request.truncate, runner, context_length)
        if request.context:
            prompt = replace(prompt, text=await runner.detokenize(request.context) + prompt.text)
        reading = completion_reading(self._model, request, self._think, prompt.text)
        return _prompted(prompt, runner, reading, native=False)

    async def _direct(self) -> Prompt | None:
        if self._request.raw:  # nothing to render: not worth a thread
            return direct_prompt(self._model, self._request, self._think)
        return await asyncio.to_thread(direct_prompt, self._model, self._request, self._think)

    async def after_thinking(self, prompted: Prompted, draft: Answer, runner: Runner, context_length: int) -> Prompted:
        """Return the prompt with what was written behind it."""
        del runner, context_length
        return prompted.continued(draft.text_before_content)


async def _fitted(conversation: Conversation, truncate: bool | None, runner: Runner, context_length: int) -> Prompt:
    if truncate is False:
        return await asyncio.to_thread(conversation.prompt)
    return await fit_history(conversation, context_length, runner.count_tokens)


def _prompted(prompt: Prompt, runner: Runner, reading: Reading, *, native: bool) -> Prompted:
    marker = MEDIA_MARKER if prompt.media else ""
    text = prompt.engine_text(adds_bos=runner.info.adds_bos, marker=marker)
    return Prompted(text=text, shown=prompt.text, media=prompt.media, native=native, reading=reading)


def _special(runner: Runner) -> SpecialTexts:
    return SpecialTexts(bos=runner.info.bos_text, eos=runner.info.eos_text)
