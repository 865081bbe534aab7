"""What the vectors cannot show of Go templates: limits, caching, odd input."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollama.errors import TemplateError
from pollama.prompts.gotemplate import TemplateValues, parse_template
from tests.prompts.support import assistant, user


@pytest.mark.parametrize(
    "source",
    [
        "{{ range 999999999 }}{{ range 999999999 }}{{ end }}{{ end }}{{ .Messages }}",
        "{{ range .Messages }}" + "{{ range $.Messages }}" * 4 + "{{ end }}" * 5,
        '{{ $x := "aaaaaaaa" }}{{ range 99 }}{{ $x = print $x $x }}{{ end }}{{ .Messages }}',
        '{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}{{ .Messages }}',
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ if true }}" * 5000 + "{{ end }}" * 5000,
        "{{ range 99999 }}{{ range 99 }}" + "x" * 99 + "{{ end }}{{ end }}{{ .Messages }}",
    ],
    ids=["steps", "empty loops", "doubling", "recursion", "parentheses", "nesting", "output"],
)
def test_a_template_cannot_spend_without_end(source: str) -> None:
    with pytest.raises(TemplateError):
        parse_template(source).render(TemplateValues(messages=[user("q"), assistant("a")] * 20))


def test_a_template_is_parsed_once() -> None:
    assert parse_template("{{ .Prompt }}x") is parse_template("{{ .Prompt }}x")


def test_rendering_leaves_the_messages_alone() -> None:
    messages = [user("a"), user("b"), assistant("c")]
    template = parse_template("{{ range .Messages }}{{ .Content }};{{ end }}")
    assert [template.render(TemplateValues(messages=messages)) for _ in range(2)] == ["a\n\nb;c;"] * 2


@given(st.text(alphabet="{}|()$.,:=-\"'`\\ \n0ax", max_size=60))
def test_any_text_is_a_template_or_a_template_error(source: str) -> None:
    with contextlib.suppress(TemplateError):
        parse_template(source).render(TemplateValues(messages=[user("q")]))
