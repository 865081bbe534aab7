"""``show``: what a model is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from pollama.cli import flags
from pollama.cli.command import ONE, command
from pollama.cli.connection import connect
from pollama.cli.errors import CliError
from pollama.cli.table import section, width_of
from pollama.types.gojson import printed
from pollama.types.human import human_number
from pollama.types.json import Json

_TEXT_WIDTH: Final = 100
"""Columns of the System and License sections."""
_TEXT_LINES: Final = 2
_ARRAY_WIDTH: Final = 10
_SELECTORS: Final = ("license", "modelfile", "parameters", "system", "template")
_ENDING: Final = {"license": "\n", "modelfile": "\n", "parameters": "\n", "system": "", "template": ""}


@command("show MODEL", ONE, models=1)
@flags.switch("--license", help="Show license of a model")
@flags.switch("--modelfile", help="Show Modelfile of a model")
@flags.switch("--parameters", help="Show parameters of a model")
@flags.switch("--system", help="Show system message of a model")
@flags.switch("--template", help="Show template of a model")
@flags.switch("-v", "--verbose", help="Show detailed model information")
def show(arguments: tuple[str, ...], *, verbose: bool, **selected: bool) -> None:
    """Print all about a model, or the one part that was asked for."""
    chosen = [name for name in _SELECTORS if selected[name]]
    client = connect()
    if len(chosen) > 1:
        raise CliError(
            "only one of '--license', '--modelfile', '--parameters', '--system', or '--template' can be specified"
        )
    description = client.post("/api/show", {"name": arguments[0], "verbose": verbose})
    if chosen:
        print(description.get(chosen[0], ""), end=_ENDING[chosen[0]])
    else:
        print(information(description, verbose=verbose), end="")


def information(description: Json, *, verbose: bool = False) -> str:
    """Return the sections about a model. Raises CliError for a model that makes images."""
    if "image" in description.get("capabilities", ()):
        raise CliError("image generation models are not currently supported")
    return "".join(_sections(description, verbose=verbose))


def _sections(description: Json, *, verbose: bool) -> Iterator[str]:
    yield section("Model", list(_model_rows(description)))
    if description.get("capabilities"):
        yield section("Capabilities", [(capability,) for capability in description["capabilities"]])
    if description.get("projector_info"):
        yield section("Projector", list(_projector_rows(description["projector_info"])))
    if description.get("parameters"):
        yield section("Parameters", [line.split() for line in description["parameters"].splitlines()])
    if verbose and description.get("model_info"):
        yield section("Metadata", [(key, metadata(value)) for key, value in sorted(description["model_info"].items())])
    if verbose and description.get("tensors"):
        yield section("Tensors", [_tensor_row(tensor) for tensor in description["tensors"]])
    if description.get("system"):
        yield section("System", _beginning(description["system"]), _TEXT_WIDTH)
    if description.get("license"):
        yield section("License", _beginning(description["license"]), _TEXT_WIDTH)


def _model_rows(description: Json) -> Iterator[tuple[str, str]]:
    details, facts = description["details"], description.get("model_info") or {}
    if description.get("remote_host"):
        yield "Remote model", description["remote_model"]
        yield "Remote URL", description["remote_host"]
    if facts:
        yield from _measured_rows(facts, details)
    else:
        yield "architecture", details["family"]
        yield "parameters", details["parameter_size"]
    yield "quantization", details["quantization_level"]
    if description.get("requires"):
        yield "requires", description["requires"]


def _measured_rows(facts: Json, details: Json) -> Iterator[tuple[str, str]]:
    architecture = facts.get("general.architecture", "")
    if architecture:
        yield "architecture", architecture
    count = facts.get("general.parameter_count")
    if details["parameter_size"]:
        yield "parameters", details["parameter_size"]
    elif isinstance(count, (int, float)):
        yield "parameters", human_number(int(count))
    for label, key in (("context length", "context_length"), ("embedding length", "embedding_length")):
        value = facts.get(f"{architecture}.{key}")
        if _is_number(value):
            yield label, str(int(value))


def _projector_rows(facts: Json) -> Iterator[tuple[str, str]]:
    architecture = facts.get("general.architecture", "")
    kind = "vision" if f"{architecture}.vision.embedding_length" in facts else "audio"
    yield "architecture", architecture
    if _is_number(facts.get("general.parameter_count")):
        yield "parameters", human_number(int(facts["general.parameter_count"]))
    for label, key in (("embedding length", "embedding_length"), ("dimensions", "projection_dim")):
        value = facts.get(f"{architecture}.{kind}.{key}")
        if _is_number(value):
            yield label, str(int(value))


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def metadata(value: Json) -> str:
    """Return one value of ``model_info`` as the Metadata section shows it."""
    if value is None:
        return "<nil>"
    if isinstance(value, list):
        return _array(value)
    if _is_number(value):
        return printed(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _array(values: Sequence[Json]) -> str:
    """Return as many items as fit the column, one at least, and how many there are besides."""
    texts = [metadata(value) for value in values]
    ends = accumulate((width_of(text) + 2 for text in texts), initial=-1)
    shown = max(sum(end <= _ARRAY_WIDTH for end in ends) - 1, 1)
    more = [f"...+{len(texts) - shown} more"] if len(texts) > shown else []
    return f"[{' '.join([*texts[:shown], *more])}]"


def _tensor_row(tensor: Json) -> tuple[str, str, str]:
    return tensor["name"], tensor["type"], f"[{' '.join(map(str, tensor['shape']))}]"


def _beginning(text: str) -> list[tuple[str]]:
    """Return the first lines that are not blank, and an ellipsis when there are more."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rest = [("...",)] if len(lines) > _TEXT_LINES else []
    return [*((line,) for line in lines[:_TEXT_LINES]), *rest]
