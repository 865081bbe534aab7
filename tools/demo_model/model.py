"""The demo model in PyTorch: a small llama with tied embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """The model's sizes; the names follow GGUF's."""

    vocab: int
    width: int = 192
    layers: int = 5
    heads: int = 6
    ffn: int = 384
    context: int = 4096
    rope_base: float = 10000.0
    norm_eps: float = 1e-5


def rotary(shape: Shape, length: int) -> Tensor:
    """The unit complex turn of each position and pair, [length, 1, head width / 2]."""
    half = shape.width // shape.heads // 2
    speed = shape.rope_base ** (-torch.arange(half, dtype=torch.float32) / half)
    angle = torch.arange(length, dtype=torch.float32)[:, None] * speed
    return torch.polar(torch.ones_like(angle), angle)[:, None]


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """Turn neighbouring pairs of x [..., time, heads, head width]: llama.cpp's pairing for llama."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turn).flatten(-2)


class Block(nn.Module):
    """Causal attention and a gated feed-forward, each behind an RMS norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.attn_norm = nn.RMSNorm(shape.width, shape.norm_eps)
        self.ffn_norm = nn.RMSNorm(shape.width, shape.norm_eps)
        self.attn_qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.attn_output = nn.Linear(shape.width, shape.width, bias=False)
        self.ffn_gate_up = nn.Linear(shape.width, 2 * shape.ffn, bias=False)
        self.ffn_down = nn.Linear(shape.ffn, shape.width, bias=False)

    def forward(self, x: Tensor, turn: Tensor) -> Tensor:
        """x is [batch, time, width]."""
        x = x + self.attend(self.attn_norm(x), turn)
        gate, up = self.ffn_gate_up(self.ffn_norm(x)).chunk(2, dim=-1)
        return x + self.ffn_down(functional.silu(gate) * up)

    def attend(self, x: Tensor, turn: Tensor) -> Tensor:
        """Multi-head causal self-attention over x [batch, time, width]."""
        batch, time, width = x.shape
        query_key, value = self.attn_qkv(x).split((2 * width, width), dim=-1)
        turned = rotate(query_key.view(batch, time, 2 * self.heads, -1), turn).transpose(1, 2)
        query, key = turned.split(self.heads, dim=1)
        value = value.view(batch, time, self.heads, -1).transpose(1, 2)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.attn_output(mixed.transpose(1, 2).reshape(batch, time, width))


class Demo(nn.Module):
    """Token numbers to hidden states; logits are hidden states times the embedding."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocab, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = nn.RMSNorm(shape.width, shape.norm_eps)
        self._initialise()

    def forward(self, tokens: Tensor) -> Tensor:
        """Final hidden states [batch, time, width] of tokens [batch, time]."""
        turn = rotary(self.shape, tokens.shape[1])
        x = self.token_embd(tokens)
        for block in self.blocks:
            x = block(x, turn)
        return self.output_norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary for hidden states [..., width]."""
        return functional.linear(hidden, self.token_embd.weight)

    def _initialise(self) -> None:
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                scale = 0.02 if "embd" in name else weight.shape[1] ** -0.5
                nn.init.normal_(weight, std=scale)
            if name.endswith(("attn_output.weight", "ffn_down.weight")):
                nn.init.zeros_(weight)
