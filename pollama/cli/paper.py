"""Plans on paper: for described devices and a model of which only the shape has to be known."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Final

from pollama.api.multigpu import encode
from pollama.cli.house import House, paper_model, read_house, read_shape
from pollama.config import Config
from pollama.models.gguf import read_header
from pollama.models.library import ModelLibrary
from pollama.models.spec import model_spec
from pollama.prompts.inspector import PromptInspector
from pollama.scheduler.policy import Policy
from pollama.scheduler.preview import preview
from pollama.scheduler.residency import Memory
from pollama.server import policy
from pollama.types.json import Json
from pollama.types.model import Model
from pollama.types.options import Options

_SHAPES: Final = frozenset((".yaml", ".yml", ".json"))


def plan_on_paper(name: str, devices: Path) -> Json:
    """Return a plan as the server would tell it, were its devices those that a file describes.

    ``name`` is a stored model, a GGUF file or a file with the shape of a model. Raises PollamaError.
    """
    config = Config.load()
    house, model = read_house(devices), _model(name, config)
    terms = policy(config)
    terms = replace(terms, multi_gpu=replace(terms.multi_gpu, enabled=True))
    options = Options().updated(model.stored.parameters)
    return encode.preview(preview(model, options, _memory(house, terms), [], terms))


def _memory(house: House, terms: Policy) -> Memory:
    memory = Memory(terms)
    memory.read(house.devices, [], house.links)
    return memory


def _model(name: str, config: Config) -> Model:
    path = Path(name)
    if path.suffix in _SHAPES:
        return read_shape(path)
    if path.suffix == ".gguf":
        return paper_model(path.stem, model_spec(read_header(path)), path)
    library = ModelLibrary(config.models, PromptInspector(go_template=config.go_template))
    return asyncio.run(library.resolve(name))
