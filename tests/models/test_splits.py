"""Split GGUF files are put together when they are imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader
from numpy import arange, array_equal

from pollama.errors import BadRequestError
from pollama.models.library import ModelLibrary
from tests.models.fixtures import SHARDS, create, upload, write_shards


async def import_shards(library: ModelLibrary, shards: dict[str, bytes]) -> list[str]:
    return await create(library, "m", files={name: await upload(library, data) for name, data in shards.items()})


async def test_shards_become_one_file(library: ModelLibrary, tmp_path: Path) -> None:
    shards = write_shards(tmp_path)
    lines = await import_shards(library, dict(reversed(shards.items())))
    assert lines[:4] == ["parsing GGUF"] * 3 + ["verifying conversion"]
    assert lines[4].startswith("creating new layer sha256:")
    weights = (await library.resolve("m")).stored.weights
    assert weights is not None
    merged = GGUFReader(weights)
    assert not any(name.startswith("split.") for name in merged.fields)
    assert merged.fields["llama.block_count"].contents() == 5
    assert merged.fields["tokenizer.ggml.tokens"].contents() == ["a", "é"]
    assert {tensor.name: len(tensor.data) for tensor in merged.tensors} == {
        f"blk.{block}.attn_k.weight": 33 * (block + 1) for block in range(5)
    }
    assert all(array_equal(tensor.data, arange(len(tensor.data), dtype="float32")) for tensor in merged.tensors)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: {"part.gguf": s[SHARDS[0]]}, 'split GGUF "part.gguf" must use llama.cpp split filename pattern'),
        (lambda s: dict(list(s.items())[:2]), 'split GGUF "big" has 2 shards, expected 3'),
        (
            lambda s: {"big-00001-of-00004.gguf": s[SHARDS[0]]},
            'split GGUF "big-00001-of-00004.gguf" filename count 4 does not match metadata count 3',
        ),
        (
            lambda s: {SHARDS[1]: s[SHARDS[0]]},
            f'split GGUF "{SHARDS[1]}" filename index 2 does not match metadata index 1',
        ),
        (
            lambda s: {SHARDS[0]: s[SHARDS[0]].replace(b"split.no", b"split.xx")},
            f'split GGUF "{SHARDS[0]}" is missing split.no metadata',
        ),
        (
            lambda s: s | {SHARDS[1]: s[SHARDS[1]].replace(b"blk.2", b"blk.0")},
            'split GGUF "big" has a tensor in two shards',
        ),
    ],
)
async def test_shards_that_do_not_belong_together(
    library: ModelLibrary, tmp_path: Path, change: Any, reason: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        await import_shards(library, change(write_shards(tmp_path)))
    assert str(caught.value) == reason
