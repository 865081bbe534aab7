"""``create`` and the files it finds."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pollama.cli.errors import CliError
from pollama.cli.sources import find_sources, local_path, model_files, named
from tests.cli.conftest import Cli
from tests.cli.scripted import Script

GGUF = b"GGUF\x03\x00\x00\x00"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with weights in the form of a model repository."""
    path = tmp_path / "repo"
    (path / "1_Pooling").mkdir(parents=True)
    for name in ("model.safetensors", "tokenizer.model"):
        (path / name).write_bytes(b"\x00\x01")
    for name in ("config.json", "1_Pooling/config.json"):
        (path / name).write_text("{}")
    (path / "README.md").write_text("read me")
    return path


@pytest.mark.usefixtures("home")
def test_a_recipe_becomes_a_request(cli: Cli, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.gguf").write_bytes(GGUF)
    (tmp_path / "Modelfile").write_text(
        "FROM ./m.gguf\nSYSTEM Be kind.\nPARAMETER stop a\nPARAMETER stop b\nPARAMETER temperature 0.5\n"
        "MESSAGE user hi\nLICENSE MIT\nPARAMETER mirostat 1\n"
    )
    monkeypatch.chdir(tmp_path)
    script.on("POST /api/blobs/", status=201).on("POST /api/create", {"status": "success"})
    outcome = cli("create", "mine", "-q", "q4_K_M")
    assert (outcome.status, outcome.out) == (0, "warning: parameter mirostat is deprecated\n")
    assert f"copying file {digest(GGUF)} 100%" in outcome.err
    assert script.bodies(f"/api/blobs/{digest(GGUF)}") == [GGUF]
    assert script.bodies("/api/create") == [
        {
            "name": "",
            "model": "mine",
            "files": {"m.gguf": digest(GGUF)},
            "system": "Be kind.",
            "license": ["MIT"],
            "parameters": {"stop": ["a", "b"], "temperature": 0.5},
            "messages": [{"role": "user", "content": "hi"}],
            "quantize": "q4_K_M",
        }
    ]


def test_a_name_that_is_no_file_is_a_model(cli: Cli, script: Script, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("FROM llama3.2\n")
    script.on("POST /api/create", {"status": "success"})
    assert cli("create", "mine", "--file", str(tmp_path / "other")).status == 0
    assert script.bodies("/api/create") == [{"name": "", "model": "mine", "from": "llama3.2"}]


def test_without_a_modelfile_the_folder_is_the_model(
    cli: Cli, script: Script, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    script.on("POST /api/blobs/", status=201).on("POST /api/create", {"status": "success"})
    assert cli("create", "mine", "-f", "missing").status == 0
    (request,) = script.bodies("/api/create")
    assert set(request["files"]) == {"model.safetensors", "tokenizer.model", "config.json", "1_Pooling/config.json"}


@pytest.mark.parametrize(
    ("modelfile", "arguments", "message"),
    [
        ("FROM a\n", ("in valid",), "invalid model name: in valid"),
        ("BAD x\n", ("m",), '(line 1): command must be one of "from"'),
        ("# nothing\n", ("m",), "no FROM line"),
        ("FROM a\nPARAMETER top_k x\n", ("m",), "invalid int value [x]"),
        ("FROM a\nADAPTER ./none\n", ("m",), "no such file or directory"),
        ("FROM a\n", ("m", "--draft-quantize", "q8_0"), "--draft-quantize requires a DRAFT model"),
        ("FROM a\n", ("m", "--experimental"), "--experimental is not available"),
        ("FROM ~nobodyofthatname/x\n", ("m",), "failed to find user 'nobodyofthatname'"),
    ],
)
def test_what_cannot_be_created_is_explained(
    cli: Cli, tmp_path: Path, modelfile: str, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "Modelfile").write_text(modelfile)
    outcome = cli("create", *arguments, "-f", str(tmp_path / "Modelfile"))
    assert outcome.status == 1
    assert message in outcome.err


def test_a_modelfile_that_cannot_be_read_is_named(cli: Cli, tmp_path: Path) -> None:
    assert cli("create", "m", "-f", str(tmp_path)).err == f"Error: open {tmp_path}: Is a directory\n"


def test_a_home_is_expanded(home: Path, tmp_path: Path) -> None:
    assert local_path("~/m.gguf", tmp_path) == home / "m.gguf"
    assert local_path("m.gguf", tmp_path) == tmp_path / "m.gguf"
    assert local_path("/m.gguf", tmp_path) == Path("/m.gguf")


def test_files_are_named_below_their_common_folder() -> None:
    assert list(named([Path("/a/b/m.gguf")])) == ["m.gguf"]
    assert list(named([Path("/a/b/m.gguf"), Path("/c/p.gguf")])) == ["a/b/m.gguf", "c/p.gguf"]
    assert list(named([Path("/a/m.gguf"), Path("/a/b/c.json")])) == ["m.gguf", "b/c.json"]


def test_a_folder_without_weights_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CliError, match="no Modelfile or safetensors files found"):
        model_files(tmp_path)


def test_the_content_of_a_file_must_fit_its_name(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\x00\x01")
    with pytest.raises(CliError, match=r"invalid content type: expected application/octet-stream for .*config\.json"):
        model_files(folder)


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(CliError, match=r"insecure path: \.\./secret\.json"):
        model_files(folder)


def test_safetensors_win_over_gguf(folder: Path) -> None:
    (folder / "m.gguf").write_bytes(GGUF)
    assert "m.gguf" not in model_files(folder)
    (folder / "model.safetensors").unlink()
    assert "m.gguf" in model_files(folder)


def test_a_later_name_wins_over_an_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(GGUF)
    files, name = find_sources(["m.gguf", "one", "two"], tmp_path, must_exist=False)
    assert (list(files), name) == (["m.gguf"], "two")


@pytest.mark.parametrize("text", ["./nosuch.gguf", "../nosuch", "/nosuch/m.gguf", "~/nosuch.gguf", "a b"])
def test_what_is_neither_a_file_nor_a_name_is_told(cli: Cli, home: Path, text: str) -> None:
    modelfile = home / "Modelfile"
    modelfile.write_text(f"FROM {text}\n")
    outcome = cli("create", "m", "-f", str(modelfile))
    assert outcome.status == 1
    assert outcome.err.endswith(f"Error: {text}: no such file or directory, and an invalid model name\n")


@pytest.mark.parametrize("text", ["nosuch.gguf", "m:8b:cloud", "m:cloud:local", "hf.co/me/m:Q4_0"])
def test_what_may_be_a_name_is_left_to_the_server(tmp_path: Path, text: str) -> None:
    assert find_sources([text], tmp_path, must_exist=False) == ({}, text)
