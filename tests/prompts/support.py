"""Models and messages for tests of prompts."""

from __future__ import annotations

from pollama.prompts.inspector import PromptInspector
from pollama.types.messages import Message, Tool, ToolParameters, ToolProperty
from pollama.types.model import Model, ModelConfig, ModelSpec, StoredModel

NATIVE_TEMPLATE = """\
{%- if tools %}<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}
{%- for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking %}<think>{% endif %}{% endif %}"""


def spec(chat_template: str = "") -> ModelSpec:
    """Return the facts of a small model."""
    return ModelSpec(
        architecture="llama",
        parameter_count=1,
        file_type="F16",
        file_bytes=1,
        layer_bytes=(1,),
        input_bytes=1,
        output_bytes=1,
        context_length=64,
        embedding_length=8,
        feed_forward_length=8,
        vocabulary_length=8,
        head_count=1,
        head_count_kv=(1,),
        key_length=8,
        value_length=8,
        chat_template=chat_template,
    )


def model(
    *,
    template: str | None = None,
    chat_template: str = "",
    system: str = "",
    presets: tuple[Message, ...] = (),
    config: ModelConfig | None = None,
    name: str = "registry.ollama.ai/library/m:latest",
) -> Model:
    """Return a model with the given templates."""
    stored = StoredModel(
        name=name,
        short_name="m:latest",
        digest="",
        size=0,
        modified_at=0,
        config=config or ModelConfig(),
        spec=spec(chat_template),
        weights=None,
        template=template,
        system=system,
        messages=presets,
    )
    return Model(stored=stored, traits=PromptInspector().traits(stored))


def user(content: str, *images: bytes) -> Message:
    """Return a user message."""
    return Message(role="user", content=content, images=list(images))


def assistant(content: str = "", *, thinking: str = "") -> Message:
    """Return an assistant message."""
    return Message(role="assistant", content=content, thinking=thinking)


def system(content: str) -> Message:
    """Return a system message."""
    return Message(role="system", content=content)


def tool(name: str = "get", **properties: str) -> Tool:
    """Return a tool with properties of the given types."""
    typed = {key: ToolProperty(type=(value,)) for key, value in properties.items()}
    return Tool(type="function", name=name, parameters=ToolParameters(type="object", properties=typed))
