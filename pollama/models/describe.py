"""What /api/show and /api/tags tell of a model.

Ollama rewrites the GGUF of a text model when it is imported: it states the version of the quantisation formats and
puts the tensors into llama.cpp's order. Here the file stays as it is, and is shown as if it had been rewritten.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from gguf.constants import GGML_QUANT_VERSION

from pollama.models import gguf
from pollama.models.imports import is_text_model
from pollama.models.modelfile import Command, render
from pollama.types.gojson import printed
from pollama.types.goquote import go_quote
from pollama.types.json import Json
from pollama.types.library import ModelDescription, ModelDetails, ModelListing, TensorInfo
from pollama.types.model import Model, ModelConfig, StoredModel

DEFAULT_TEMPLATE: Final = "{{ .Prompt }}"

_BLOCK: Final = re.compile(r"blk\.(\d{1,9})\.")
_HIDDEN: Final = ("general.name", "tokenizer.chat_template")
_KEY_WIDTH: Final = 30


def describe(model: Model, *, system: str, options: dict[str, Json], arrays: bool) -> ModelDescription:
    """Return all that /api/show tells; ``system`` and ``options`` are laid over those of the model in its Modelfile.

    Arrays of the GGUF are None unless ``arrays``. Raises WeightsError when the weights cannot be read.
    """
    stored = model.stored
    header = gguf.read_header(stored.weights, arrays=arrays) if stored.spec and stored.weights else None
    projector = gguf.read_header(stored.projectors[0], arrays=arrays) if stored.projectors else None
    shown = replace(stored, system=system or stored.system, parameters=stored.parameters | options)
    return ModelDescription(
        model=model,
        details=details(stored.config, stored.parent),
        model_info=_remote_info(stored.config) if header is None else _metadata(header, arrays, _HIDDEN),
        projector_info=None if projector is None else _metadata(projector, arrays),
        tensors=() if header is None else _tensors(header),
        modelfile=_modelfile(shown),
        parameters="\n".join(_parameter_lines(stored.parameters)),
        template=_template(model),
    )


def listing(model: Model) -> ModelListing:
    """Return the entry of /api/tags of one model."""
    stored = model.stored
    config, spec = stored.config, stored.spec
    basic = details(config, stored.parent)
    return ModelListing(
        name=stored.short_name,
        digest=stored.digest,
        size=stored.size,
        modified_at=stored.modified_at,
        details=replace(
            basic,
            quantization_level=basic.quantization_level or (spec.file_type if spec else ""),
            context_length=config.context_length or (spec.context_length if spec else 0),
            embedding_length=config.embedding_length or (spec.embedding_length if spec else 0),
        ),
        capabilities=model.traits.listed_capabilities,
        remote_model=config.remote_model,
        remote_host=config.remote_host,
    )


def details(config: ModelConfig, parent: str) -> ModelDetails:
    """Return ``details`` as /api/show has them, without lengths."""
    return ModelDetails(
        parent_model=parent,
        format=config.model_format,
        family=config.model_family,
        families=config.model_families,
        parameter_size=config.model_type,
        quantization_level=config.file_type,
    )


def _metadata(header: gguf.Header, arrays: bool, hidden: tuple[str, ...] = ()) -> dict[str, Json]:
    values = {key: _shown(value, arrays) for key, value in header.values.items() if key not in hidden}
    values["general.parameter_count"] = header.parameter_count
    if is_text_model(header):
        values.setdefault("general.quantization_version", GGML_QUANT_VERSION)
    return {key: values[key] for key in sorted(values)}


def _shown(value: gguf.Value, arrays: bool) -> Json:
    if isinstance(value, gguf.SkippedArray):
        return None if value.length else []
    return None if isinstance(value, list) and value and not arrays else value


def _remote_info(config: ModelConfig) -> dict[str, Json]:
    family = config.model_family
    if not config.remote_model or not family:
        return {}
    known: dict[str, Json] = {
        "general.architecture": family,
        "general.basename": config.base_name,
        f"{family}.context_length": config.context_length,
        f"{family}.embedding_length": config.embedding_length,
    }
    return {key: value for key, value in known.items() if value}


def _tensors(header: gguf.Header) -> tuple[TensorInfo, ...]:
    tensors = sorted(header.tensors, key=_rank) if is_text_model(header) else header.tensors
    return tuple(TensorInfo(name=tensor.name, type=tensor.type, shape=tensor.shape) for tensor in tensors)


def _rank(tensor: gguf.Tensor) -> tuple[int, str]:
    """Order tensors as llama.cpp does: by block, those outside of blocks first, then by name."""
    block = _BLOCK.match(tensor.name)
    return (int(block[1]) if block else -1, tensor.name)


def _template(model: Model) -> str:
    spec = model.stored.spec
    if model.traits.mode == "native" and spec is not None and spec.chat_template:
        return spec.chat_template
    return DEFAULT_TEMPLATE if model.stored.template is None else model.stored.template


def _parameter_lines(parameters: dict[str, Json]) -> list[str]:
    return [
        f"{key:<{_KEY_WIDTH}} {go_quote(value) if isinstance(value, str) else _printed(value)}"
        for key, values in sorted(parameters.items())
        for value in (values if isinstance(values, list) else [values])
    ]


def _modelfile(stored: StoredModel) -> str:
    head = (
        '# Modelfile generated by "ollama show"\n'
        "# To build a new Modelfile based on this, replace FROM with:\n"
        f"# FROM {stored.short_name}\n\n"
    )
    return head + render(_commands(stored))


def _commands(stored: StoredModel) -> list[Command]:
    template = DEFAULT_TEMPLATE if stored.template is None else stored.template
    optional = {
        "system": stored.system,
        "renderer": stored.config.renderer,
        "parser": stored.config.parser,
    }
    return [
        Command("model", _text(stored.weights)),
        *(Command("adapter", str(path)) for path in stored.adapters),
        *([Command("draft", str(stored.draft))] if stored.draft else []),
        *(Command("model", str(path)) for path in stored.projectors),
        Command("template", template),
        *(Command(name, text) for name, text in optional.items() if text),
        *_parameter_commands(stored.parameters),
        *(Command("license", text) for text in stored.licenses),
        *(Command("message", f"{message.role}: {message.content}") for message in stored.messages),
    ]


def _parameter_commands(parameters: dict[str, Json]) -> list[Command]:
    return [
        Command(key, _printed(value))
        for key, values in sorted(parameters.items())
        for value in (values if isinstance(values, list) else [values])
    ]


def _text(path: Path | None) -> str:
    return "" if path is None else str(path)


def _printed(value: Json) -> str:
    """Return a decoded JSON value as Go's ``%v`` prints it; every number is a float there."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return printed(value)
    if isinstance(value, list):
        return f"[{' '.join(_printed(item) for item in value)}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_printed(value[key])}' for key in sorted(value))}]"
    return str(value)
