"""The tokens of a Go template as a parser takes them: with a look ahead."""

from __future__ import annotations

from typing import Final

from pollama.prompts.gotemplate.lexer import Kind, Lexer, Token

_MAX_NESTING: Final = 100
"""Open parentheses and control structures together; each costs a few Python frames."""


class TemplateSyntaxError(Exception):
    """The tokens do not form a template."""


class Tokens:
    """The token stream with a little memory."""

    def __init__(self, lexer: Lexer) -> None:
        self._lexer = lexer
        self._returned: list[Token] = []
        self._line = 1
        self.nesting = 0

    @property
    def line(self) -> int:
        """Line of the token that was looked at last."""
        return self._returned[-1].line if self._returned else self._line

    def next(self) -> Token:
        """Return the next token."""
        token = self._returned.pop() if self._returned else self._lexer.next()
        self._line = token.line
        return token

    def put_back(self, *tokens: Token) -> None:
        """Return tokens to the stream; the first argument is the first to come out again."""
        self._returned.extend(reversed(tokens))

    def peek(self) -> Token:
        """Return the next token and leave it there."""
        token = self.next()
        self.put_back(token)
        return token

    def next_solid(self) -> Token:
        """Return the next token that is not space."""
        token = self.next()
        while token.kind is Kind.SPACE:
            token = self.next()
        return token

    def peek_solid(self) -> Token:
        """Return the next token that is not space and leave it there."""
        token = self.next_solid()
        self.put_back(token)
        return token

    def expect(self, kind: Kind, context: str) -> Token:
        """Return the next token that is not space. Raises TemplateSyntaxError where it is of another kind."""
        token = self.next_solid()
        if token.kind is not kind:
            raise unexpected(token, context)
        return token

    def enter(self) -> None:
        """Count one more level of nesting. Raises TemplateSyntaxError for one too many."""
        self.nesting += 1
        if self.nesting > _MAX_NESTING:
            raise TemplateSyntaxError("max expression depth exceeded")


def unexpected(token: Token, context: str) -> TemplateSyntaxError:
    """Return the error for a token that does not belong where it stands."""
    return TemplateSyntaxError(f"unexpected {token} in {context}")
