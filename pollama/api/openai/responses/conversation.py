"""Items of a response's input to messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pollama.api.godecode import DecodeError, unmarshal
from pollama.api.messages import ARGUMENTS
from pollama.api.openai.messages import decode_image_url
from pollama.api.openai.responses.items import Content, Item
from pollama.errors import BadRequestError
from pollama.types.messages import Message, ToolCall


def messages_of(items: Iterable[Item], previous: Sequence[Message] = ()) -> list[Message]:
    """Return the conversation that ``items`` go on with; they may add to its last message. Raises BadRequestError."""
    conversation = _Conversation([*previous])
    for item in items:
        conversation.add(item)
    return conversation.finished()


class _Conversation:
    """Messages so far; ``_thinking`` waits for the assistant's next message."""

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages
        self._thinking = ""

    def add(self, item: Item) -> None:
        """Add an item. Raises BadRequestError."""
        if item.kind == "reasoning":
            self._thinking = item.thinking
        elif item.kind == "call":
            self._call(item)
        elif item.kind == "output":
            self._messages.append(_message("tool", item.content, call_id=item.call_id))
        else:
            self._message(item)

    def finished(self) -> list[Message]:
        """Return the messages; thinking that nothing followed is a message of its own."""
        if self._thinking:
            self._assistant()
        return self._messages

    def _message(self, item: Item) -> None:
        message = _message(item.role.lower(), item.content)
        if message.role != "assistant":
            self._messages.append(message)
            return
        calling = self._last_assistant()
        if calling is not None and calling.tool_calls:
            calling.content += message.content
            calling.images += message.images
            return
        message.thinking, self._thinking = self._thinking, ""
        self._messages.append(message)

    def _call(self, item: Item) -> None:
        try:
            arguments = unmarshal(ARGUMENTS, item.arguments)
        except DecodeError as error:
            raise BadRequestError(f"failed to parse function call arguments: {error}") from None
        message = self._last_assistant() or self._assistant()
        if self._thinking:
            message.thinking, self._thinking = self._thinking, ""
        message.tool_calls.append(ToolCall(id=item.call_id, name=item.name, arguments=arguments))

    def _last_assistant(self) -> Message | None:
        last = self._messages[-1] if self._messages else None
        return last if last is not None and last.role == "assistant" else None

    def _assistant(self) -> Message:
        message = Message(role="assistant", thinking=self._thinking)
        self._thinking = ""
        self._messages.append(message)
        return message


def _message(role: str, content: Content, *, call_id: str = "") -> Message:
    if content.has_file:
        raise BadRequestError("file inputs are not currently supported")
    images = [decode_image_url(url) for url in content.image_urls]
    return Message(role=role, content=content.text, images=images, tool_call_id=call_id)
