"""What the tree of a template tells: its variables, and the tags it puts around tool calls and thinking."""

from __future__ import annotations

from collections.abc import Iterator

from pollama.prompts.gotemplate import nodes
from pollama.prompts.gotemplate.parser import Trees
from pollama.prompts.spaces import trim


def variables(trees: Trees) -> frozenset[str]:
    """Return the lower-cased names in all fields and variables; those of chains are not looked at."""
    return frozenset(name.lower() for tree in trees.values() for name in _names(tree))


def _names(node: nodes.AnyNode) -> Iterator[str]:
    if isinstance(node, (nodes.Field, nodes.Variable)):
        yield from node.names
    elif not isinstance(node, nodes.Chain):
        for child in nodes.children(node):
            yield from _names(child)


def tool_tag(tree: nodes.Block) -> str:
    """Return the text with which a template begins tool calls; ``{`` where it shows none.

    It is the first text in the first ``if`` whose condition names ``ToolCalls``.
    """
    branch = _tool_branch(tree)
    text = _first_text(branch.body) if branch else None
    tag = trim((text or "").replace("\r\n", "\n").partition("{")[0])
    return tag or "{"


def _tool_branch(block: nodes.Block) -> nodes.Branch | None:
    for node in block.nodes:
        if not isinstance(node, nodes.Branch):
            continue
        if node.keyword == "if" and _mentions_tool_calls(node.pipe):
            return node
        for part in (node.body, node.otherwise):
            found = _tool_branch(part) if part else None
            if found:
                return found
    return None


def _mentions_tool_calls(pipe: nodes.Pipe) -> bool:
    operands = [operand for command in pipe.commands for operand in command.operands]
    return any(isinstance(operand, nodes.Field) and "ToolCalls" in operand.names for operand in operands)


def _first_text(block: nodes.Block) -> str | None:
    for node in block.nodes:
        if isinstance(node, nodes.Text) and trim(node.text):
            return node.text
        if isinstance(node, nodes.Action):
            return None
        if isinstance(node, nodes.Branch):
            return _first_text(node.body) or (_first_text(node.otherwise) if node.otherwise else None)
    return None


def thinking_tags(tree: nodes.Block) -> tuple[str, str]:
    """Return the texts around ``.Thinking`` inside a range over the messages; empty where there is none."""
    opening = closing = ""
    for block in _thinking_blocks(tree, None, over_messages=False):
        first, last = block.nodes[0], block.nodes[-1]
        opening = trim(first.text) if isinstance(first, nodes.Text) else opening
        closing = trim(last.text) if isinstance(last, nodes.Text) else closing
    return opening, closing


def _thinking_blocks(
    node: nodes.AnyNode, enclosing: nodes.Block | None, *, over_messages: bool
) -> Iterator[nodes.Block]:
    """Yield the nearest block around every ``.Thinking`` whose nearest range is one over the messages."""
    if isinstance(node, nodes.Field):
        if enclosing and over_messages and node.names[0] == "Thinking":
            yield enclosing
        return
    if isinstance(node, nodes.Branch) and node.keyword == "range":
        over_messages = _is_over_messages(node.pipe)
    for child in nodes.children(node):
        yield from _thinking_blocks(
            child, node if isinstance(node, nodes.Block) else enclosing, over_messages=over_messages
        )


def _is_over_messages(node: nodes.AnyNode) -> bool:
    if isinstance(node, nodes.Field):
        return node.names[0] == "Messages"
    return any(map(_is_over_messages, nodes.children(node)))
