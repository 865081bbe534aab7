"""Random models load and run in the real engine, in each architecture and quantisation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import llama_cpp
import pytest

from tools.random_model import ARCHITECTURES, PRESETS, QUANTS, Spec, parse, write_random_model

GENERATORS = sorted(set(ARCHITECTURES) - {"bert"})


def load(path: Path, **options: Any) -> llama_cpp.Llama:
    return llama_cpp.Llama(str(path), n_ctx=256, n_threads=1, verbose=False, **options)


@pytest.mark.parametrize("arch", GENERATORS)
def test_generates(tmp_path: Path, arch: str) -> None:
    path = tmp_path / "model.gguf"
    write_random_model(path, Spec(arch=arch))
    model = load(path)
    model.eval(model.tokenize(b"hello"))
    for _ in range(4):
        model.eval([model.sample(temp=0.0)])
    assert model.n_tokens == len(model.tokenize(b"hello")) + 4


@pytest.mark.parametrize("quant", sorted(QUANTS))
def test_quantisations(tmp_path: Path, quant: str) -> None:
    path = tmp_path / "model.gguf"
    write_random_model(path, Spec(quant=quant))
    model = load(path)
    model.eval(model.tokenize(b"hello"))
    assert model.metadata["general.file_type"] == str(int(QUANTS[quant][1]))


def test_embeds(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_random_model(path, Spec(arch="bert"))
    model = load(path, embedding=True)
    near, far = (model.embed(text) for text in ("hello", "goodbye"))
    assert len(near) == Spec().width
    assert near != far


def test_tokenizer_has_the_wanted_size_and_round_trips(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_random_model(path, Spec(vocab=2000))
    model = load(path, vocab_only=True)
    text = "hello wörld 東京".encode()
    assert model.n_vocab() == 2000
    assert model.detokenize(model.tokenize(text, add_bos=False)) == text


def test_letter_groups_shorten_text(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_random_model(path, Spec(vocab=60_000, width=32, heads=2))
    model = load(path, vocab_only=True)
    assert len(model.tokenize(b"abcabc", add_bos=False)) < 4


def test_the_same_spec_writes_the_same_bytes(tmp_path: Path) -> None:
    first, second, other = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    write_random_model(first, Spec(seed=1))
    write_random_model(second, Spec(seed=1))
    write_random_model(other, Spec(seed=2))
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()


def test_a_vocabulary_below_the_bytes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than 259 tokens"):
        write_random_model(tmp_path / "model.gguf", Spec(vocab=259))


def test_options_change_a_preset() -> None:
    spec, out = parse(["--preset", "60m", "--layers", "1", "--arch", "gemma3", "--kv-heads", "4", "--out", "x.gguf"])
    assert out == Path("x.gguf")
    assert (spec.arch, spec.layers, spec.kv_heads) == ("gemma3", 1, 4)
    assert spec.width == PRESETS["60m"].width
