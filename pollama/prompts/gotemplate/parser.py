"""Parses a Go template into trees, with the messages of Go's parser."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final, Literal, cast

from pollama.errors import TemplateError
from pollama.prompts.gotemplate import literals, nodes
from pollama.prompts.gotemplate.lexer import Kind, Lexer, LexError, Token
from pollama.prompts.gotemplate.tokens import TemplateSyntaxError, Tokens, unexpected
from pollama.prompts.spaces import trim
from pollama.types.goquote import go_quote

_LITERAL_KINDS: Final = frozenset((Kind.CHARACTER, Kind.COMPLEX, Kind.NUMBER))
_OPERAND_KINDS: Final = _LITERAL_KINDS | {
    Kind.BOOL,
    Kind.FIELD,
    Kind.IDENTIFIER,
    Kind.STRING,
    Kind.VARIABLE,
    Kind.LEFT_PAREN,
}
_NOT_EXECUTABLE: Final = (nodes.Bool, nodes.Dot, nodes.Nil, nodes.Number, nodes.String)

Trees = dict[str, nodes.Block]
"""Template name -> its tree; the template itself is named ``""``."""


def parse(source: str, functions: Container[str]) -> Trees:
    """Return the trees of a template and of all that it defines. Raises TemplateError with Go's text."""
    tokens = Tokens(Lexer(source))
    trees: Trees = {}
    parser = _TreeParser(tokens, functions, trees)
    try:
        parser.main()
    except LexError as error:
        raise TemplateError(f"template: :{error.line}: {error}") from None
    except TemplateSyntaxError as error:
        raise TemplateError(f"template: :{tokens.line}: {error}") from None
    return trees


class _End:
    """``{{end}}`` or ``{{else}}``: what closes a block."""

    def __init__(self, keyword: str) -> None:
        self.keyword = keyword

    def __str__(self) -> str:
        return "{{" + self.keyword + "}}"


class _TreeParser:
    """Parses one tree; definitions inside it are parsed by parsers of their own on the same tokens."""

    def __init__(self, tokens: Tokens, functions: Container[str], trees: Trees) -> None:
        self._tokens = tokens
        self._functions = functions
        self._trees = trees
        self._variables = ["$"]
        self._range_depth = 0
        self._controls: dict[str, Callable[[Token], nodes.Node | _End]] = {
            "block": self._block,
            "break": self._jump,
            "continue": self._jump,
            "else": self._else,
            "end": self._end,
            "if": self._branch,
            "range": self._branch,
            "template": self._invocation,
            "with": self._branch,
        }

    def main(self) -> None:
        """Parse the whole text as the template ``""``."""
        root = nodes.Block(0)
        while (token := self._tokens.peek()).kind is not Kind.END:
            if token.kind is Kind.LEFT and self._define():
                continue
            node = self._text_or_action()
            if isinstance(node, _End):
                raise TemplateSyntaxError(f"unexpected {node}")
            root.nodes.append(node)
        self._add("", root)

    def _define(self) -> bool:
        """Parse a definition if the tokens begin one."""
        left, keyword = self._tokens.next(), self._tokens.next_solid()
        if (keyword.kind, keyword.text) != (Kind.KEYWORD, "define"):
            self._tokens.put_back(left, keyword)
            return False
        context = "define clause"
        name = self._quoted(self._tokens.expect(Kind.STRING, context))
        self._tokens.expect(Kind.RIGHT, context)
        self._definition(name, context)
        return True

    def _definition(self, name: str, context: str) -> None:
        parser = _TreeParser(self._tokens, self._functions, self._trees)
        body, end = parser._block_body()
        if end.keyword != "end":
            raise TemplateSyntaxError(f"unexpected {end} in {context}")
        self._add(name, body)

    def _add(self, name: str, tree: nodes.Block) -> None:
        if name in self._trees and not _is_blank(self._trees[name]):
            if not _is_blank(tree):
                raise TemplateSyntaxError(f"template: multiple definition of template {go_quote(name)}")
            return
        self._trees[name] = tree

    # Blocks and actions.

    def _block_body(self) -> tuple[nodes.Block, _End]:
        block = nodes.Block(self._tokens.peek_solid().position)
        while self._tokens.peek_solid().kind is not Kind.END:
            node = self._text_or_action()
            if isinstance(node, _End):
                return block, node
            block.nodes.append(node)
        raise TemplateSyntaxError("unexpected EOF")

    def _text_or_action(self) -> nodes.Node | _End:
        token = self._tokens.next_solid()
        if token.kind is Kind.TEXT:
            return nodes.Text(token.position, token.text)
        if token.kind is Kind.LEFT:
            return self._action()
        raise unexpected(token, "input")

    def _action(self) -> nodes.Node | _End:
        token = self._tokens.next_solid()
        if token.kind is Kind.KEYWORD and token.text in self._controls:
            return self._controls[token.text](token)
        self._tokens.put_back(token)
        return nodes.Action(token.position, self._pipeline("command", Kind.RIGHT))

    def _branch(self, keyword: Token) -> nodes.Branch:
        context = cast('Literal["if", "range", "with"]', keyword.text)
        known = len(self._variables)
        self._tokens.enter()
        pipe = self._pipeline(context, Kind.RIGHT)
        self._range_depth += context == "range"
        body, end = self._block_body()
        self._range_depth -= context == "range"
        otherwise = self._otherwise(context) if end.keyword == "else" else None
        self._tokens.nesting -= 1
        del self._variables[known:]
        return nodes.Branch(pipe.position, context, pipe, body, otherwise)

    def _otherwise(self, context: str) -> nodes.Block:
        token = self._tokens.peek()
        if context in ("if", "with") and (token.kind, token.text) == (Kind.KEYWORD, context):
            self._tokens.next()
            return nodes.Block(token.position, [self._branch(token)])
        block, end = self._block_body()
        if end.keyword != "end":
            raise TemplateSyntaxError(f"expected end; found {end}")
        return block

    def _else(self, _keyword: Token) -> _End:
        token = self._tokens.peek_solid()
        if not (token.kind is Kind.KEYWORD and token.text in ("if", "with")):
            self._tokens.expect(Kind.RIGHT, "else")
        return _End("else")

    def _end(self, _keyword: Token) -> _End:
        self._tokens.expect(Kind.RIGHT, "end")
        return _End("end")

    def _jump(self, keyword: Token) -> nodes.Jump:
        token = self._tokens.next_solid()
        if token.kind is not Kind.RIGHT:
            raise unexpected(token, "{{" + keyword.text + "}}")
        if not self._range_depth:
            raise TemplateSyntaxError("{{" + keyword.text + "}} outside {{range}}")
        return nodes.Jump(keyword.position, cast('Literal["break", "continue"]', keyword.text))

    def _invocation(self, _keyword: Token) -> nodes.Invocation:
        token, name = self._template_name("template clause")
        if self._tokens.peek_solid().kind is Kind.RIGHT:
            self._tokens.next_solid()
            return nodes.Invocation(token.position, name, None)
        return nodes.Invocation(token.position, name, self._pipeline("template clause", Kind.RIGHT))

    def _block(self, _keyword: Token) -> nodes.Invocation:
        context = "block clause"
        token, name = self._template_name(context)
        pipe = self._pipeline(context, Kind.RIGHT)
        self._definition(name, context)
        return nodes.Invocation(token.position, name, pipe)

    def _template_name(self, context: str) -> tuple[Token, str]:
        token = self._tokens.next_solid()
        if token.kind is not Kind.STRING:
            raise unexpected(token, context)
        return token, self._quoted(token)

    # Pipelines.

    def _pipeline(self, context: str, end: Kind) -> nodes.Pipe:
        pipe = nodes.Pipe(self._tokens.peek_solid().position)
        while self._declaration(pipe, context):
            pass
        while (token := self._tokens.next_solid()).kind is not end:
            if token.kind not in _OPERAND_KINDS and not _is_constant_keyword(token):
                raise unexpected(token, context)
            self._tokens.put_back(token)
            pipe.commands.append(self._command())
        _check_pipeline(pipe, context)
        return pipe

    def _declaration(self, pipe: nodes.Pipe, context: str) -> bool:
        """Take ``$x :=``, ``$x =`` or ``$x,`` if it comes next; true when another variable may follow."""
        variable = self._tokens.peek_solid()
        if variable.kind is not Kind.VARIABLE:
            return False
        self._tokens.next_solid()
        after = self._tokens.peek()
        follower = self._tokens.peek_solid()
        if follower.kind in (Kind.ASSIGN, Kind.DECLARE):
            pipe.assigns = follower.kind is Kind.ASSIGN
            self._declare(pipe, variable)
            return False
        if (follower.kind, follower.text) == (Kind.OTHER, ","):
            self._declare(pipe, variable)
            return self._second_declaration(pipe, context)
        if after.kind is Kind.SPACE:
            self._tokens.put_back(variable, after)
        else:
            self._tokens.put_back(variable)
        return False

    def _declare(self, pipe: nodes.Pipe, variable: Token) -> None:
        self._tokens.next_solid()
        pipe.variables.append(nodes.Variable(variable.position, variable.text.split(".")))
        self._variables.append(variable.text)

    def _second_declaration(self, pipe: nodes.Pipe, context: str) -> bool:
        if context != "range" or len(pipe.variables) > 1:
            raise TemplateSyntaxError(f"too many declarations in {context}")
        if self._tokens.peek_solid().kind not in (Kind.VARIABLE, Kind.RIGHT, Kind.RIGHT_PAREN):
            raise TemplateSyntaxError("range can only initialize variables")
        return True

    def _command(self) -> nodes.Command:
        command = nodes.Command(self._tokens.peek_solid().position)
        while True:
            self._tokens.peek_solid()
            operand = self._operand()
            if operand:
                command.operands.append(operand)
            token = self._tokens.next()
            if token.kind is Kind.SPACE:
                continue
            if token.kind in (Kind.RIGHT, Kind.RIGHT_PAREN):
                self._tokens.put_back(token)
            elif token.kind is not Kind.PIPE:
                raise unexpected(token, "operand")
            break
        if not command.operands:
            raise TemplateSyntaxError("empty command")
        return command

    def _operand(self) -> nodes.Operand | None:
        term = self._term()
        if term is None or (token := self._tokens.peek()).kind is not Kind.FIELD:
            return term
        names = []
        while self._tokens.peek().kind is Kind.FIELD:
            names.append(self._tokens.next().text[1:])
        if isinstance(term, nodes.Field):
            return nodes.Field(token.position, term.names + names)
        if isinstance(term, nodes.Variable):
            return nodes.Variable(token.position, term.names + names)
        if isinstance(term, _NOT_EXECUTABLE):
            raise TemplateSyntaxError(f"unexpected . after term {go_quote(str(term))}")
        return nodes.Chain(token.position, term, names)

    def _term(self) -> nodes.Operand | None:
        token = self._tokens.next_solid()
        if token.kind in _LITERAL_KINDS:
            return _number(token)
        match token.kind:
            case Kind.IDENTIFIER:
                if token.text not in self._functions:
                    raise TemplateSyntaxError(f"function {go_quote(token.text)} not defined")
                return nodes.Identifier(token.position, token.text)
            case Kind.VARIABLE:
                return self._known_variable(token)
            case Kind.FIELD:
                return nodes.Field(token.position, [token.text[1:]])
            case Kind.BOOL:
                return nodes.Bool(token.position, token.text == "true")
            case Kind.STRING:
                return nodes.String(token.position, token.text, self._quoted(token))
            case Kind.LEFT_PAREN:
                self._tokens.enter()
                pipe = self._pipeline("parenthesized pipeline", Kind.RIGHT_PAREN)
                self._tokens.nesting -= 1
                return pipe
        if _is_constant_keyword(token):
            return nodes.Dot(token.position) if token.text == "." else nodes.Nil(token.position)
        self._tokens.put_back(token)
        return None

    def _known_variable(self, token: Token) -> nodes.Variable:
        if token.text not in self._variables:
            raise TemplateSyntaxError(f"undefined variable {go_quote(token.text)}")
        return nodes.Variable(token.position, [token.text])

    def _quoted(self, token: Token) -> str:
        try:
            return literals.unquote(token.text)
        except ValueError as error:
            raise TemplateSyntaxError(str(error)) from None


def _number(token: Token) -> nodes.Number:
    readers = {Kind.CHARACTER: literals.character_code, Kind.COMPLEX: literals.complex_number}
    try:
        value = readers.get(token.kind, literals.number)(token.text)
    except ValueError as error:
        raise TemplateSyntaxError(str(error)) from None
    return nodes.Number(token.position, token.text, value)


def _check_pipeline(pipe: nodes.Pipe, context: str) -> None:
    if not pipe.commands:
        raise TemplateSyntaxError(f"missing value for {context}")
    for stage, command in enumerate(pipe.commands[1:], start=2):
        if isinstance(command.operands[0], _NOT_EXECUTABLE):
            raise TemplateSyntaxError(f"non executable command in pipeline stage {stage}")


def _is_constant_keyword(token: Token) -> bool:
    return token.kind is Kind.KEYWORD and token.text in (".", "nil")


def _is_blank(tree: nodes.Block) -> bool:
    return all(isinstance(node, nodes.Text) and not trim(node.text) for node in tree.nodes)
