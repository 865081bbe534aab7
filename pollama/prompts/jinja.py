"""Jinja chat templates of GGUF files, rendered as Hugging Face's tools and llama.cpp do, inside a sandbox.

A template comes from whoever made the file, so what it may spend is bounded: loop iterations, characters, and the
operations and filters that make a large value out of a small one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sized
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NoReturn, cast

from jinja2 import Template, nodes, pass_context
from jinja2 import TemplateError as JinjaError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pollama.errors import TemplateError
from pollama.types.json import Json

MAX_ITERATIONS: Final = 1_000_000
MAX_CHARACTERS: Final = 16 * 2**20
_PADDING: Final = frozenset(("center", "expandtabs", "format_map", "ljust", "rjust", "zfill"))
_REMOVED_FILTERS: Final = ("center", "format", "wordwrap")
_BUDGET: Final = "pollama_budget"


class _LimitError(JinjaError):
    """The template spends more than it may."""


class _Budget:
    """What one rendering may still spend."""

    def __init__(self) -> None:
        self._iterations = MAX_ITERATIONS
        self._characters = MAX_CHARACTERS

    def iterate(self, count: int) -> None:
        self._iterations -= count
        if self._iterations < 0:
            raise _LimitError(f"more than {MAX_ITERATIONS} loop iterations")

    def write(self, count: int) -> None:
        self._characters -= count
        if self._characters < 0:
            raise _LimitError(f"more than {MAX_CHARACTERS} characters")


def _budget(context: Context) -> _Budget:
    found: _Budget = context[_BUDGET]
    return found


@pass_context
def _counted(context: Context, values: Iterable[Any]) -> Iterable[Any]:
    """Filter put around everything that a ``for`` loops over."""
    budget = _budget(context)
    if isinstance(values, Sized):
        budget.iterate(len(values))
        return values
    return _counting(budget, values)


def _counting(budget: _Budget, values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        budget.iterate(1)
        yield value


@pass_context
def _written(context: Context, value: Any) -> Any:
    """Count what an expression writes."""
    _budget(context).write(len(str(value)))
    return value


def _concatenated(values: Iterable[Any]) -> str:
    """What ``~`` does."""
    texts = [str(value) for value in values]
    _check_size(sum(map(len, texts)))
    return "".join(texts)


def _check_size(size: int) -> None:
    if size > MAX_CHARACTERS:
        raise _LimitError(f"a value of more than {MAX_CHARACTERS} characters")


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox with bounds on what templates can spend."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"], finalize=_written
        )
        self.filters.update(tojson=_to_json, pollama_counted=_counted, pollama_concatenated=_concatenated)
        for name in _REMOVED_FILTERS:
            del self.filters[name]
        del self.globals["lipsum"]
        self.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = _filtered(cast("nodes.Expr", loop.iter), "pollama_counted")
        _replace_concatenations(tree)
        return tree

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Refuse what pads text to any width, beside what the sandbox refuses."""
        return attr not in _PADDING and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Check the size of a result before it is made."""
        if operator == "+" and isinstance(left, Sized) and isinstance(right, Sized):
            _check_size(len(left) + len(right))
        elif operator == "*":
            _check_product(left, right)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            _check_size(left.bit_length() * max(right, 0))
        elif operator == "%" and isinstance(left, str):
            raise _LimitError("formatting with % is not allowed")
        return super().call_binop(context, operator, left, right)


def _check_product(left: Any, right: Any) -> None:
    for value, times in ((left, right), (right, left)):
        if isinstance(value, Sized) and isinstance(times, int):
            _check_size(len(value) * max(times, 0))


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _replace_concatenations(node: nodes.Node) -> None:
    """Turn every ``a ~ b`` below ``node`` into a filter that knows the limits."""
    for field, value in node.iter_fields():
        if isinstance(value, list):
            value[:] = [_replaced(item) for item in value]
        else:
            setattr(node, field, _replaced(value))


def _replaced(value: Any) -> Any:
    if not isinstance(value, nodes.Node):
        return value
    _replace_concatenations(value)
    if isinstance(value, nodes.Concat):
        return _filtered(nodes.List(value.nodes, lineno=value.lineno), "pollama_concatenated")
    return value


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise JinjaError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)


_ENVIRONMENT: Final = _Environment()


@lru_cache(maxsize=64)
def _compiled(source: str) -> Template:
    return _ENVIRONMENT.from_string(source)


def render_jinja(source: str, values: dict[str, Json]) -> str:
    """Return the output of a chat template. Raises TemplateError with the template's own problem."""
    try:
        return _guarded(lambda: _compiled(source).render({**values, _BUDGET: _Budget()}))
    except RecursionError:
        raise TemplateError("chat template: too deeply nested") from None


def _guarded(render: Callable[[], str]) -> str:
    try:
        return render()
    except JinjaError as error:
        line = getattr(error, "lineno", None)
        place = f"line {line}: " if line else ""
        raise TemplateError(f"chat template: {place}{error.message or type(error).__name__}") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, MemoryError) as error:
        raise TemplateError(f"chat template: {error}") from error
