"""What calls of tools a request allows: the rule that a grammar holds the model to."""

from __future__ import annotations

from pollama.errors import BadRequestError
from pollama.prompts.parsers import ParserFamily
from pollama.prompts.spaces import trim
from pollama.prompts.tool_json import parameters_json
from pollama.types.generation import CallFormat, CallRule
from pollama.types.json import Json
from pollama.types.messages import Tool
from pollama.types.requests import ChatRequest

Tags = tuple[str, str]


def family_rule(family: ParserFamily, request: ChatRequest, prompt_text: str, *, thinks: bool) -> CallRule | None:
    """Return the rule for the models of a family.

    Their parsers find a call in a thought as well, so a thought is only told apart where the call has to follow it.
    Raises as ``call_rule``.
    """
    is_apart = thinks and request.tool_choice.mode == "required"
    shown = family.prompt_tools(request.offered_tools) if family.prompt_tools else request.offered_tools
    names = [tool.name for tool in shown]
    return call_rule(family.calls, request, prompt_text, thought=family.thought if is_apart else None, names=names)


def call_rule(
    call_format: CallFormat | None,
    request: ChatRequest,
    prompt_text: str,
    *,
    thought: Tags | None,
    thinks: bool = True,
    names: list[str] | None = None,
) -> CallRule | None:
    """Return the rule for the calls of a request; None where nothing holds them.

    ``thought`` are the tags around a thought in which nothing is a call, ``names`` what the prompt calls the tools.
    Without ``thinks``, a required call has no thought before it but one that the prompt has begun.
    Raises BadRequestError where a call is required and ``call_format`` is None.
    """
    choice, tools = request.tool_choice, request.offered_tools
    required = choice.mode == "required"
    if not tools or (call_format is None and not required):
        return None
    if call_format is None:
        raise BadRequestError("this model writes calls in a format in which tool_choice cannot require one")
    if not (call_format.json or required):
        return None
    is_inside = thought is not None and trim(prompt_text).endswith(trim(thought[0]))
    named = zip(names or [tool.name for tool in tools], tools, strict=True)
    return CallRule(
        format=call_format,
        tools={name: _arguments_schema(tool) for name, tool in named if choice.name in ("", tool.name)},
        required=required,
        thought=thought if thinks or is_inside or not required else None,
        inside_thought=is_inside,
    )


def _arguments_schema(tool: Tool) -> Json:
    """Return the JSON schema for the arguments of a tool: what it declares, and nothing else."""
    declared = {key: value for key, value in parameters_json(tool.parameters).items() if value is not None}
    closed = {"additionalProperties": False} if "properties" in declared else {}
    return {**declared, **closed, "type": "object"}
