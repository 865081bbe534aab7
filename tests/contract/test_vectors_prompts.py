"""Every recorded behaviour of templates, renderers and parsers."""

from __future__ import annotations

import pytest

from pollama.errors import TemplateError
from pollama.prompts.gotemplate import TemplateValues, parse_template
from tests.contract.conversation import messages_of, tools_of
from tests.contract.vectors import Vector, as_text, load_vectors, vector_id


def _same_text(actual: str, expected: str | Vector) -> bool:
    """Compare by bytes: a text may hold parts of characters."""
    return actual.encode("utf-8", "surrogateescape") == as_text(expected).encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("vector", load_vectors("gotemplate"), ids=vector_id)
def test_go_template(vector: Vector) -> None:
    source = as_text(vector["input"]["template"])
    values = _template_values(vector["input"])
    if "error" not in vector:
        assert _same_text(parse_template(source).render(values), vector["output"])
        return
    if vector["error"]["stage"] == "execute":
        parse_template(source)
    with pytest.raises(TemplateError) as caught:
        parse_template(source).render(values)
    assert _same_text(str(caught.value), vector["error"]["text"])


def _template_values(item: Vector) -> TemplateValues:
    return TemplateValues(
        messages=messages_of(item.get("messages")),
        tools=tools_of(item.get("tools")),
        prompt=as_text(item.get("prompt", "")),
        suffix=as_text(item.get("suffix", "")),
        think=item.get("think", False),
        think_level=item.get("think_level", ""),
        is_think_set=item.get("is_think_set", False),
    )
