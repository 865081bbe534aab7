"""``show``."""

from __future__ import annotations

import pytest

from pollama.types.json import Json
from tests.cli.conftest import Cli
from tests.cli.scripted import Script

DETAILS = {"family": "llama", "parameter_size": "8.0B", "quantization_level": "Q4_K_M"}
FACTS = {
    "general.architecture": "llama",
    "general.parameter_count": 8030261248,
    "llama.context_length": 131072,
    "llama.embedding_length": 4096,
}
LLAMA: Json = {
    "details": DETAILS,
    "model_info": FACTS,
    "capabilities": ["completion", "tools"],
    "parameters": 'stop                           "<|start_header_id|>"\ntemperature                    0.7',
    "license": (
        "\n  LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\n\nLlama 3.1 Version Release Date: July 23, 2024\n\nAgreement"
    ),
    "modelfile": "FROM /x\n",
    "system": "Be kind.",
    "template": "{{ .Prompt }}",
}

SHOWN = """\
  Model
    architecture        llama     ·
    parameters          8.0B      ·
    context length      131072    ·
    embedding length    4096      ·
    quantization        Q4_K_M    ·

  Capabilities
    completion    ·
    tools         ·

  Parameters
    stop           "<|start_header_id|>"    ·
    temperature    0.7                      ·

  System
    Be kind.    ·

  License
    LLAMA 3.1 COMMUNITY LICENSE AGREEMENT            ·
    Llama 3.1 Version Release Date: July 23, 2024    ·
    ...                                              ·

""".replace("·", "")


def test_a_model_is_shown_in_sections(cli: Cli, script: Script) -> None:
    script.on("POST /api/show", LLAMA)
    assert cli("show", "llama3.1").out == SHOWN
    assert script.bodies("/api/show") == [{"name": "llama3.1", "verbose": False}]


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--modelfile", "FROM /x\n\n"),
        ("--parameters", LLAMA["parameters"] + "\n"),
        ("--license", LLAMA["license"] + "\n"),
        ("--system", "Be kind."),
        ("--template", "{{ .Prompt }}"),
    ],
)
def test_one_part_is_printed_as_it_is(cli: Cli, script: Script, flag: str, text: str) -> None:
    script.on("POST /api/show", LLAMA)
    assert cli("show", "m", flag).out == text


def test_two_parts_are_one_too_many(cli: Cli) -> None:
    assert cli("show", "m", "--system", "--template").err == (
        "Error: only one of '--license', '--modelfile', '--parameters', '--system', or '--template' can be specified\n"
    )


def test_a_remote_model_tells_where_it_lives(cli: Cli, script: Script) -> None:
    details = {"family": "gptoss", "parameter_size": "20.9B", "quantization_level": "MXFP4"}
    remote = {"remote_model": "gpt-oss:20b", "remote_host": "https://ollama.com:443", "requires": "0.12.0"}
    script.on("POST /api/show", {"details": details, "model_info": {}} | remote)
    assert [line.split("  ")[2:4] for line in cli("show", "m").out.splitlines()[1:-1]] == [
        ["Remote model", ""],
        ["Remote URL", ""],
        ["architecture", ""],
        ["parameters", ""],
        ["quantization", ""],
        ["requires", ""],
    ]


def test_a_projector_has_a_section(cli: Cli, script: Script) -> None:
    projector = {
        "general.architecture": "clip",
        "general.parameter_count": 311890000,
        "clip.vision.embedding_length": 1024,
        "clip.vision.projection_dim": 768,
    }
    script.on("POST /api/show", {"details": DETAILS, "model_info": FACTS, "projector_info": projector})
    assert (
        "  Projector\n"
        "    architecture        clip       \n"
        "    parameters          311.89M    \n"
        "    embedding length    1024       \n"
        "    dimensions          768        \n\n"
    ) in cli("show", "m").out


def test_verbose_adds_metadata_and_tensors(cli: Cli, script: Script) -> None:
    facts = FACTS | {"a.list": [1, 2, 3, 4, 5, 6], "a.short": [1, 2], "a.flag": True, "a.null": None, "a.small": 1e-05}
    tensors = [{"name": "token_embd.weight", "type": "Q4_K", "shape": [4096, 128256]}]
    script.on("POST /api/show", {"details": DETAILS, "model_info": facts, "tensors": tensors})
    out = cli("show", "-v", "m").out
    assert script.bodies("/api/show") == [{"name": "m", "verbose": True}]
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in out.splitlines() if line.strip()}
    assert rows["a.list"] == "[1 2 3 ...+3 more]"
    assert rows["a.short"] == "[1 2]"
    assert rows["a.flag"] == "true"
    assert rows["a.null"] == "<nil>"
    assert rows["a.small"] == "1e-05"
    assert rows["general.parameter_count"] == "8.030261248e+09"
    assert rows["token_embd.weight"] == "Q4_K [4096 128256]"


def test_long_lines_are_wrapped_with_a_hanging_indent(cli: Cli, script: Script) -> None:
    words = " ".join(["word"] * 30)
    script.on("POST /api/show", {"details": DETAILS, "model_info": {}, "system": words})
    lines = cli("show", "m").out.split("  System\n")[1].splitlines()
    assert lines[0].startswith("    word")
    assert lines[1].startswith("      word")
    assert max(len(line.strip()) for line in lines) <= 100
    assert " ".join(line.strip() for line in lines).split() == words.split()


def test_a_model_that_makes_images_is_refused(cli: Cli, script: Script) -> None:
    script.on("POST /api/show", {"details": DETAILS, "capabilities": ["image"]})
    assert cli("show", "m").err == "Error: image generation models are not currently supported\n"
