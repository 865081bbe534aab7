"""The shortened copy of a template that ends where the answer begins."""

from __future__ import annotations

from dataclasses import replace

from pollama.prompts.gotemplate import nodes


def cut_after_response(tree: nodes.Block) -> nodes.Block:
    """Return a copy of ``tree`` without anything behind the first ``.Response``.

    Conditions are not searched, only bodies. Arguments behind ``.Response`` go too, and a pipeline goes as a
    whole when one of its commands loses everything: that is what Ollama does.
    """
    return _Cutter().block(tree)


class _Cutter:
    """Copies nodes until ``.Response`` has been met; every node after it is dropped (None)."""

    def __init__(self) -> None:
        self._met = False

    def block(self, block: nodes.Block) -> nodes.Block:
        kept = (self._node(node) for node in block.nodes)
        return replace(block, nodes=[node for node in kept if node is not None])

    def _node(self, node: nodes.Node) -> nodes.Node | None:
        if self._met:
            return None
        if isinstance(node, nodes.Branch):
            body = self.block(node.body)
            return replace(node, body=body, otherwise=self.block(node.otherwise) if node.otherwise else None)
        if isinstance(node, nodes.Action):
            pipe = self._pipe(node.pipe)
            return replace(node, pipe=pipe) if pipe else None
        return node

    def _pipe(self, pipe: nodes.Pipe) -> nodes.Pipe | None:
        commands = []
        for command in pipe.commands:
            kept = (self._operand(operand) for operand in command.operands)
            operands = [operand for operand in kept if operand is not None]
            if not operands:
                return None
            commands.append(replace(command, operands=operands))
        return replace(pipe, commands=commands)

    def _operand(self, operand: nodes.Operand) -> nodes.Operand | None:
        if self._met:
            return None
        if isinstance(operand, nodes.Pipe):
            return self._pipe(operand)
        self._met = isinstance(operand, nodes.Field) and "Response" in operand.names
        return operand
