"""Random Go templates that are made of what the language has: none of them crashes or hangs."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from pollama.errors import TemplateError
from pollama.prompts.gotemplate import TemplateValues, parse_template
from pollama.types.messages import Message, ToolCall
from tests.prompts.support import tool, user

OPERANDS = (
    *(".", "$", "$x", ".Messages", ".Tools", ".System", ".Prompt", ".Response", ".Role", ".Content", ".ToolCalls"),
    *("$.Messages", ".Function.Arguments", ".Function.Parameters.Properties", "(index .Messages 0).Role"),
    *("(index $.Tools 0).Function", "0", "-1", "1.5e3", "0x1F", "'a'", '"text"', "`raw`", "true", "nil", "1i"),
    *("9999999999999999999", '"%v %5.2f %q %x %[2]d %*d"'),
)
FUNCTIONS = (
    *("and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "print", "println", "printf"),
    *("html", "js", "urlquery", "call", "json", "currentDate", "toTypeScriptType"),
)
STATEMENTS = ("{{ break }}", "{{ continue }}", "{{- /* note */ -}}", '{{ template "t" . }}', "{{ $x = 1 }}")


def called(name: str, arguments: list[str]) -> str:
    return " ".join([name, *(f"({argument})" for argument in arguments)])


PIPELINES = st.recursive(
    st.sampled_from(OPERANDS),
    lambda inner: st.one_of(
        st.builds(called, st.sampled_from(FUNCTIONS), st.lists(inner, max_size=3)),
        st.builds("{} | {}".format, inner, st.sampled_from(FUNCTIONS)),
    ),
    max_leaves=5,
)
TEMPLATES = st.recursive(
    st.one_of(st.text("a \n<", max_size=3), PIPELINES.map("{{{{ {} }}}}".format), st.sampled_from(STATEMENTS)),
    lambda inner: st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("{{{{- if {} }}}}{}{{{{ else if {} }}}}{}{{{{ end }}}}".format, PIPELINES, inner, PIPELINES, inner),
        st.builds("{{{{ range $i, $x := {} }}}}{}{{{{ else }}}}{}{{{{ end -}}}}".format, PIPELINES, inner, inner),
        st.builds("{{{{ with $x := {} }}}}{}{{{{ end }}}}".format, PIPELINES, inner),
        st.builds('{{{{ define "t" }}}}{}{{{{ end }}}}{}'.format, inner, inner),
        st.builds('{{{{ block "b" {} }}}}{}{{{{ end }}}}'.format, PIPELINES, inner),
    ),
    max_leaves=8,
)
CALLED = Message(role="assistant", tool_calls=[ToolCall(name="get", arguments={"n": [1, None, {"a": 2.5}]})])


@settings(max_examples=300, deadline=None)
@given(TEMPLATES)
def test_any_template_renders_or_ends_with_a_template_error(source: str) -> None:
    values = TemplateValues(messages=[user("q"), CALLED, user("r")], tools=[tool("get", n="integer")], prompt="p")
    with contextlib.suppress(TemplateError):
        parse_template(source).render(values)
