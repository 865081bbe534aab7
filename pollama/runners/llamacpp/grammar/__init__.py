"""GBNF grammars: ``"json"``, JSON schemas, and text with calls of tools. Pure text."""

from __future__ import annotations

from pollama.errors import FormatError
from pollama.runners.llamacpp.grammar.calls import call_grammar
from pollama.runners.llamacpp.grammar.rules import RuleBook
from pollama.runners.llamacpp.grammar.schema import SchemaCompiler
from pollama.types.json import Json

__all__ = ["call_grammar", "grammar_of"]


def grammar_of(wanted: Json) -> str:
    """Return the grammar of a ``format``: ``"json"`` (any object) or a JSON schema.

    Raises FormatError for other values and GenerationError (400) for a schema that no grammar can enforce.
    """
    book = RuleBook()
    if wanted == "json":
        return book.text(book.primitive("object"))
    if isinstance(wanted, dict):
        return book.text(SchemaCompiler(wanted, book).rule("answer"))
    raise FormatError('invalid format; expected "json" or a valid JSON Schema object')
