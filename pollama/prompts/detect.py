"""Recognition of well-known chat formats, for models that are imported without a Go template.

Ollama compares a GGUF's Jinja text with stored texts of model makers. This one looks at the words that a format
cannot do without, and leaves alone what is more than the plain format: templates with tools, and long ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SHORTEST: Final = 97
_LONGEST: Final = 1_600
_RICHER: Final = ("tools", "tool_call", "<think>")
"""Signs of a template that the plain Go template would be a loss for."""


@dataclass(frozen=True, slots=True)
class Format:
    """A chat format: the words its Jinja text must have, its Go template, and what ends an answer."""

    name: str
    signs: tuple[str, ...]
    template: str
    stop: tuple[str, ...]


def _tagged(system: str, user: str, assistant: str) -> str:
    """Return a Go template; ``@`` in each part stands for the text of that turn."""
    parts = {"System": system, "Prompt": user}
    turns = [f"{{{{ if .{key} }}}}{part.replace('@', f'{{{{ .{key} }}}}')}{{{{ end }}}}" for key, part in parts.items()]
    return "".join(turns) + assistant.replace("@", "{{ .Response }}")


FORMATS: Final = (
    Format(
        "alfred",
        ("<start_user>", "<start_assistant>", "<end_message>"),
        _tagged("<start_system>@<end_message>", "<start_user>@<end_message>", "<start_assistant>@"),
        ("<start_system>", "<end_message>", "<start_user>", "<start_assistant>"),
    ),
    Format(
        "starcoder2-instruct",
        ("### Instruction", "### Response", "<|endoftext|>"),
        _tagged("@\n\n", "### Instruction\n@\n\n", "### Response\n@<|endoftext|>\n\n"),
        ("### Instruction", "### Response", "<|endoftext|>"),
    ),
    Format(
        "alpaca",
        ("### Instruction:", "### Response"),
        _tagged("@\n\n", "### Instruction:\n@\n\n", "### Response:\n@\n\n"),
        ("### Instruction:", "### Response"),
    ),
    Format(
        "chatml",
        ("<|im_start|>", "<|im_end|>"),
        _tagged(
            "<|im_start|>system\n@<|im_end|>\n",
            "<|im_start|>user\n@<|im_end|>\n",
            "<|im_start|>assistant\n@<|im_end|>\n",
        ),
        ("<|im_start|>", "<|im_end|>"),
    ),
    Format(
        "granite-instruct",
        ("System:", "Question:", "Answer:"),
        _tagged("System:\n@\n\n", "Question:\n@\n\n", "Answer:\n@\n\n"),
        ("System:", "Question:", "Answer:"),
    ),
    Format(
        "chatqa",
        ("System:", "User:", "Assistant:"),
        _tagged("System: @\n\n", "User: @\n\n", "Assistant: @\n\n"),
        ("System:", "User:", "Assistant:", "<|begin_of_text|>"),
    ),
    Format(
        "falcon-instruct",
        ("User:", "Assistant:"),
        _tagged("@\n\n", "User: @\n\n", "Assistant: @\n\n"),
        ("User:", "Assistant:"),
    ),
    Format(
        "codellama-70b-instruct",
        ("Source:", "Destination:", "<step>"),
        _tagged(
            "Source: system\n\n @ <step> ",
            "Source: user\n\n @ <step> ",
            "Source: assistant\nDestination: user\n\n @ <step> ",
        ),
        ("Source:", "Destination:", "<step>"),
    ),
    Format(
        "command-r",
        ("<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>"),
        _tagged(
            "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>@<|END_OF_TURN_TOKEN|>",
            "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>@<|END_OF_TURN_TOKEN|>",
            "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>@<|END_OF_TURN_TOKEN|>",
        ),
        ("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
    ),
    Format(
        "gemma3-instruct",
        ("<start_of_turn>", "<end_of_turn>", "first_user_prefix"),
        _tagged(
            "<start_of_turn>user\n@\n\n{{ if not .Prompt }}<end_of_turn>\n{{ end }}",
            "{{ if not .System }}<start_of_turn>user\n{{ end }}@<end_of_turn>\n",
            "<start_of_turn>model\n@<end_of_turn>\n",
        ),
        ("<end_of_turn>",),
    ),
    Format(
        "gemma-instruct",
        ("<start_of_turn>", "<end_of_turn>"),
        _tagged(
            "<start_of_turn>user\n@\n\n{{ if not .Prompt }}<end_of_turn>\n{{ end }}",
            "{{ if not .System }}<start_of_turn>user\n{{ end }}@<end_of_turn>\n",
            "<start_of_turn>model\n@<end_of_turn>\n",
        ),
        ("<start_of_turn>", "<end_of_turn>"),
    ),
    Format(
        "llama2-chat",
        ("[INST]", "[/INST]", "<<SYS>>"),
        "[INST] {{ if .System }}<<SYS>>\n{{ .System }}\n<</SYS>>\n\n{{ end }}{{ .Prompt }} [/INST] {{ .Response }}</s>",
        ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    ),
    Format(
        "mistral-instruct",
        ("[INST]", "[/INST]"),
        "[INST] {{ if .System }}{{ .System }}\n\n{{ end }}{{ .Prompt }} [/INST] {{ .Response }}</s>",
        ("<|im_start|>", "<|im_end|>"),
    ),
    Format(
        "llama3-instruct",
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        _tagged(
            "<|start_header_id|>system<|end_header_id|>\n\n@<|eot_id|>",
            "<|start_header_id|>user<|end_header_id|>\n\n@<|eot_id|>",
            "<|start_header_id|>assistant<|end_header_id|>\n\n@<|eot_id|>",
        ),
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
    Format(
        "magicoder",
        ("@@ Instruction", "@@ Response"),
        "{{ if .System }}{{ .System }}\n\n{{ end }}{{ if .Prompt }}@@ Instruction\n{{ .Prompt }}\n\n{{ end }}"
        "@@ Response\n{{ .Response }}\n\n",
        ("@@ Instruction", "@@ Response"),
    ),
    Format(
        "openchat",
        ("GPT4 Correct", "<|end_of_turn|>"),
        _tagged(
            "@<|end_of_turn|>",
            "GPT4 Correct User: @<|end_of_turn|>",
            "GPT4 Correct Assistant: @<|end_of_turn|>",
        ),
        ("<|end_of_turn|>",),
    ),
    Format(
        "phi-3",
        ("<|user|>", "<|assistant|>", "<|end|>"),
        _tagged("<|system|>\n@<|end|>\n", "<|user|>\n@<|end|>\n", "<|assistant|>\n@<|end|>\n"),
        ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>"),
    ),
    Format(
        "zephyr",
        ("<|user|>", "<|assistant|>", "eos_token"),
        _tagged("<|system|>\n@</s>\n", "<|user|>\n@</s>\n", "<|assistant|>\n@</s>\n"),
        ("<|system|>", "</s>", "<|user|>", "<|assistant|>"),
    ),
    Format(
        "solar-instruct",
        ("### System:", "### User:", "### Assistant:"),
        _tagged("### System:\n@\n\n", "### User:\n@\n\n", "### Assistant:\n@</s>\n\n"),
        ("### System:", "### User:", "### Assistant"),
    ),
)


def detect(chat_template: str) -> tuple[str, str, list[str]] | None:
    """Return (name, Go template, stop strings) of the format that a Jinja text stands for, or None."""
    if not _SHORTEST <= len(chat_template) <= _LONGEST or any(sign in chat_template for sign in _RICHER):
        return None
    for known in FORMATS:
        if all(sign in chat_template for sign in known.signs):
            return known.name, known.template, list(known.stop)
    return None
