"""Tools and calls in the XML-like form that Qwen3 Coder introduced and later families share.

Call::

    <tool_call>
    <function=NAME>
    <parameter=KEY>
    VALUE
    </parameter>
    </function>
    </tool_call>

Results of consecutive tool messages share one user turn, each within ``<tool_response>``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pollama.prompts.renderers.chatml import END, START
from pollama.prompts.renderers.values import argument_values, plain_text
from pollama.prompts.tool_json import parameters_json, property_json
from pollama.types.json import Json
from pollama.types.messages import Message, Tool, ToolCall, ToolProperty

_TOOLS_HEADING: Final = "# Tools\n\nYou have access to the following functions:\n\n<tools>"

_INSTRUCTIONS: Final = """\
If you choose to call a function ONLY reply in the following format with NO suffix:

<tool_call>
<function=example_function_name>
<parameter=example_parameter_1>
value_1
</parameter>
<parameter=example_parameter_2>
This is the value for the second parameter
that can span
multiple lines
</parameter>
</function>
</tool_call>

<IMPORTANT>
Reminder:
- Function calls MUST follow the specified format: an inner <function=...></function> block must be nested within \
<tool_call></tool_call> XML tags
- Required parameters MUST be specified
- You may provide optional reasoning for your function call in natural language BEFORE the function call, but NOT after
- If there is no function call available, answer the question like normal with your current knowledge and do not tell \
the user about function calls
</IMPORTANT>"""


def tools_block(descriptions: Iterable[str]) -> str:
    """Return the part of a system turn that lists the tools and tells how to call them."""
    listed = "".join(f"\n{description}" for description in descriptions)
    return f"{_TOOLS_HEADING}{listed}\n</tools>\n\n{_INSTRUCTIONS}"


def xml_call(call: ToolCall, argument_text: Callable[[Json], str] = plain_text) -> str:
    """Return a call, without a line feed at its end."""
    parameters = "".join(
        f"<parameter={name}>\n{argument_text(value)}\n</parameter>\n"
        for name, value in argument_values(call.arguments).items()
    )
    return f"<tool_call>\n<function={call.name}>\n{parameters}</function>\n</tool_call>"


def xml_function(tool: Tool, schema_text: Callable[[str, Json], str]) -> str:
    """Return the declaration of a tool, without a line feed at its end.

    ``schema_text`` writes, given its name and its value, a keyword of a schema that has no element of its own; and
    the keyword ``type`` where there are several types.
    """
    lines = ["<function>", f"<name>{tool.name}</name>"]
    if tool.description:
        lines.append(f"<description>{tool.description}</description>")
    lines.append("<parameters>")
    for name, item in (tool.parameters.properties or {}).items():
        lines += _parameter(name, item, schema_text)
    lines += _other_keywords(parameters_json(tool.parameters), {"type", "properties"}, schema_text)
    return "\n".join([*lines, "</parameters>", "</function>"])


def _parameter(name: str, item: ToolProperty, schema_text: Callable[[str, Json], str]) -> list[str]:
    lines = ["<parameter>", f"<name>{name}</name>"]
    if item.type:
        types = item.type[0] if len(item.type) == 1 else schema_text("type", list(item.type))
        lines.append(f"<type>{types}</type>")
    if item.description:
        lines.append(f"<description>{item.description}</description>")
    lines += _other_keywords(property_json(item), {"type", "description"}, schema_text)
    return [*lines, "</parameter>"]


def _other_keywords(schema: dict[str, Json], known: set[str], schema_text: Callable[[str, Json], str]) -> list[str]:
    return [f"<{key}>{schema_text(key, value)}</{key}>" for key, value in schema.items() if key not in known]


def tool_results(messages: Sequence[Message], index: int, content: str) -> str:
    """Return the part of the shared user turn that the tool message at ``index`` writes."""
    opening = "" if index > 0 and messages[index - 1].role == "tool" else f"{START}user"
    last = index == len(messages) - 1 or messages[index + 1].role != "tool"
    return f"{opening}\n<tool_response>\n{content}\n</tool_response>" + (END if last else "")
