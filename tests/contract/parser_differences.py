"""Where pollama reads an answer differently from Ollama on purpose.

Ollama's result depends in these cases on the parts in which a text arrives, or it loses text. pollama's does not, which
``tests/prompts/test_parser_families.py`` checks for every parser.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import accumulate
from typing import Final

from pollama.prompts.parsers.partial import overlap
from tests.contract.vectors import Vector, as_text

_DEEPSEEK: Final = ("<｜tool▁calls▁begin｜>", "<｜tool▁output▁begin｜>", "<｜tool▁outputs▁begin｜>")
_WAITED_FOR: Final = {
    "cogito": _DEEPSEEK,
    "deepseek3": _DEEPSEEK,
    "lfm2": ("<|tool_call_start|>",),
    "lfm2-thinking": ("<|tool_call_start|>",),
}
"""Parser -> tags that Ollama shows as text when they arrive in several parts."""

_END_BEHIND_CALL: Final = ("qwen3.5", "ornith")
"""Ollama takes a call in a thought for thought when what could be the end of the thought arrives behind its tag."""

_CASES: Final = {
    "parsers/cohere/action-text*": "calls are lost when text follows in the same part",
    "parsers/cohere/eot*": "white space behind the end of the turn is lost",
    "parsers/cohere/last-*": "text in front of a tag in the same part is lost",
    "parsers/cohere/partial*": "text in front of a tag in the same part is lost",
    "parsers/cohere/pre-junk*": "text in front of a tag in the same part is lost",
    "parsers/cohere/think-text*": "text in front of a tag in the same part is lost",
    "parsers/functiongemma/mid-text*": "text between two calls in the same part is lost",
    "parsers/lfm2-thinking/dblthink*": "a second opening tag belongs to the thought",
    "parsers/lfm2-thinking/ws*": "white space in front of content is dropped by some borders",
    "parsers/ministral/last-*": "a thought in the same part as a call is shown with its tags",
    "parsers/ministral/no-tools*": "a thought in the same part as a call is shown with its tags",
    "parsers/nemotron-3*/ws*": "white space in front of a thought is dropped by some borders",
    "parsers/olmo3/two-blocks*": "a second call in the same part is shown as text",
    "parsers/olmo3/uni*": "characters outside of ASCII are destroyed",
    "parsers/olmo3/value-12": "characters outside of ASCII are destroyed",
    "parsers/olmo3/form-16": "characters outside of ASCII are destroyed",
}
_LAGUNA_CASES: Final = {
    "dblthink*": "a stray end of a thought is shown by some borders",
    "fs*": "a stray end of a thought is shown by some borders",
    "last-*": "a stray end of a thought is shown by some borders",
    "nbsp*": "a stray end of a thought is shown by some borders",
    "no-tools*": "a stray end of a thought is shown by some borders",
    "think*": "a stray end of a thought is shown by some borders",
    "unclosed*": "a stray end of a thought is shown by some borders",
    "code*": "braces in text become a call without a name",
    "json-*": "braces in text become a call without a name, or an error",
    "prose-*": "braces in text become an error",
    "standalone*": "a call without tags is found or not, or an error, by the borders",
    "user*": "a call between the tags of a user is found or not by the borders",
    "empty-*": "a call is found or not by the borders",
    "text-call*": "a call is found or not by the borders",
    "nested-open*": "a call is found or not by the borders",
}


def difference(vector: Vector) -> str:
    """Return why pollama may read the answer of a vector differently; empty where it must not."""
    item, name = vector["input"], vector["name"]
    if any("panic" in chunk for chunk in vector["output"]["chunks"]):
        return "Ollama crashes"
    prefixes = list(accumulate(map(as_text, item["chunks"])))
    tags = _WAITED_FOR.get(item["parser"], ())
    if any(overlap(prefix, *tags) for prefix in prefixes):
        return "a tag that arrives in several parts is a tag"
    if item["parser"] in _END_BEHIND_CALL and any(_ends_in_doubt(prefix) for prefix in prefixes):
        return "a call in a thought is a call"
    cases = dict(_CASES)
    if item["parser"] in ("laguna", "poolside-v1"):
        cases = {f"parsers/{item['parser']}/{case}": reason for case, reason in _LAGUNA_CASES.items()}
    return next((reason for case, reason in cases.items() if fnmatchcase(name, case)), "")


def _ends_in_doubt(text: str) -> bool:
    held = overlap(text, "</think>")
    return held > 0 and text[: len(text) - held].endswith("<tool_call>")
