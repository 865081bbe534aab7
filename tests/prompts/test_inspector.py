"""What the model store asks about prompt formats."""

from __future__ import annotations

import pytest

from pollama.errors import TemplateError
from pollama.prompts.detect import FORMATS, Format
from pollama.prompts.gotemplate import TemplateValues, parse_template
from pollama.prompts.inspector import PromptInspector
from pollama.types.model import ModelConfig
from tests.prompts.support import NATIVE_TEMPLATE, assistant, model, system, user

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def test_capabilities_have_one_order_in_show_and_another_in_tags() -> None:
    used = model(chat_template="tools <think></think>")
    assert used.traits.mode == "native"
    assert used.traits.capabilities == ("tools", "thinking", "completion")
    assert used.traits.listed_capabilities == ("completion",)


def test_a_template_that_does_not_parse_has_no_capabilities() -> None:
    assert model(template="{{ .Tools").traits.capabilities == ("completion",)
    with pytest.raises(TemplateError, match="template: :1: unclosed action"):
        PromptInspector().check_template("{{ .Tools")


@pytest.mark.parametrize(("setting", "mode"), [(None, "native"), (True, "rendered"), (False, "native")])
def test_the_setting_forces_go_templates(setting: bool | None, mode: str) -> None:
    stored = model(template="{{ .Prompt }}", chat_template=NATIVE_TEMPLATE).stored
    assert PromptInspector(go_template=setting).traits(stored).mode == mode


def test_a_named_parser_brings_its_capabilities() -> None:
    traits = model(config=ModelConfig(parser="harmony")).traits
    assert (traits.mode, traits.capabilities) == ("rendered", ("completion", "tools", "thinking"))


def test_a_plain_format_is_recognised() -> None:
    found = PromptInspector().detect_template(CHATML)
    assert found is not None
    name, template, stop = found
    assert (name, stop) == ("chatml", ["<|im_start|>", "<|im_end|>"])
    messages = [system("s"), user("q"), assistant("a"), user("r")]
    assert parse_template(template).render(TemplateValues(messages=messages)) == (
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n"
        "<|im_start|>user\nr<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("text", ["", "<|im_start|><|im_end|>", NATIVE_TEMPLATE, CHATML + " " * 2000])
def test_what_is_more_or_less_than_a_plain_format_is_left_alone(text: str) -> None:
    assert PromptInspector().detect_template(text) is None


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_every_format_renders_a_conversation_up_to_the_answer(known: Format) -> None:
    messages = [system("be kind"), user("ONE"), assistant("TWO"), user("THREE")]
    rendered = parse_template(known.template).render(TemplateValues(messages=messages))
    assert [rendered.count(text) for text in ("be kind", "ONE", "TWO", "THREE")] == [1, 1, 1, 1]
