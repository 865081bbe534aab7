"""Go's ``text/template`` as far as prompt templates can tell the difference."""

from pollama.prompts.gotemplate.template import DEFAULT_TEMPLATE, GoTemplate, TemplateValues, parse_template

__all__ = ["DEFAULT_TEMPLATE", "GoTemplate", "TemplateValues", "parse_template"]
