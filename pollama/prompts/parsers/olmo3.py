"""OLMo 3.

thought </think> [spaces] answer
"""

from __future__ import annotations

from typing import Final

from pollama.prompts.parsers.base import OutputParser, ParserContext, ParserFamily
from pollama.prompts.parsers.leading_thought import LeadingThought
from pollama.prompts.parsers.passthrough import Passthrough


def _make_thinking(context: ParserContext) -> OutputParser:
    return Passthrough() if context.continues_content else LeadingThought(trims_answer=False)


THINKING: Final = ParserFamily(make=_make_thinking, tools=False, thinking=True)
