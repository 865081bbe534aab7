"""GBNF grammars for structured output: ``"json"`` and JSON schemas. Pure text."""

from __future__ import annotations

from pollama.errors import FormatError
from pollama.runners.llamacpp.grammar.rules import RuleBook
from pollama.runners.llamacpp.grammar.schema import SchemaCompiler
from pollama.types.json import Json

__all__ = ["grammar_of"]


def grammar_of(wanted: Json) -> str:
    """Return the grammar of a ``format``: ``"json"`` (any object) or a JSON schema.

    Raises FormatError for other values and GenerationError (400) for a schema that no grammar can enforce.
    """
    if wanted == "json":
        book = RuleBook()
        return book.text(book.primitive("object"))
    if isinstance(wanted, dict):
        return SchemaCompiler(wanted).grammar()
    raise FormatError('invalid format; expected "json" or a valid JSON Schema object')
