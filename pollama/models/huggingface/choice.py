"""Which GGUF files of a repository a name asks for: ``hf.co/<user>/<repository>[:<quantisation or file name>]``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from pollama.models.names import DEFAULT_TAG
from pollama.models.registry.pacing import RegistryError
from pollama.models.splits import SHARD_NAME

_LABEL: Final = re.compile(
    r"(?<![A-Z0-9])((?:UD-)?(?:I?Q[1-8]|TQ[12])(?:_(?:K|NL|XXS|XS|XL|S|M|L|[0-9]+))*|BF16|FP?16|FP?32|[MN][XV]FP4(?:_MOE)?)"
    r"(?![A-Z0-9])"
)
"""A quantisation in the upper-cased path of a file."""
_PREFERRED: Final = ("Q4_K_M", "UD-Q4_K_XL", "Q4_K_S", "IQ4_XS", "Q4_0", "Q5_K_M", "MXFP4_MOE", "MXFP4", "Q6_K", "Q8_0")
"""What a name without a tag means: the first of these that a repository has, else its first file."""
_PROJECTORS: Final = ("F16", "BF16", "Q8_0", "F32")
"""As ``_PREFERRED``, for the encoders of images and sound: they are small, and lose most by quantisation."""
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryFile:
    """A file of a repository; ``digest`` ("sha256:...") is "" for one that Git itself stores. ``size`` in bytes."""

    path: str
    size: int
    digest: str = ""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name

    @property
    def label(self) -> str:
        """The quantisation that the path names, "" when it names none."""
        found = _LABEL.findall(self.path.upper())
        return found[-1].replace("FP16", "F16").replace("FP32", "F32") if found else ""

    @property
    def titles(self) -> tuple[str, ...]:
        """What the file can be called by besides its quantisation, in lower case."""
        name = self.name.lower()
        shard = SHARD_NAME.fullmatch(name)
        return name, name.removesuffix(".gguf"), shard[1] if shard else name


@dataclass(frozen=True, slots=True)
class Choice:
    """The files of one model: its weights, which may be split, and its projector."""

    weights: tuple[RepositoryFile, ...]
    projector: RepositoryFile | None

    @property
    def files(self) -> tuple[RepositoryFile, ...]:
        """All files."""
        return (*self.weights, self.projector) if self.projector else self.weights

    @property
    def is_split(self) -> bool:
        """Whether the weights have to be joined."""
        return len(self.weights) > 1

    @property
    def shards(self) -> tuple[str, ...]:
        """The digests of the weights, in order."""
        return tuple(file.digest for file in self.weights)


def choose(files: Sequence[RepositoryFile], tag: str) -> Choice:
    """Return the files that ``tag`` means. Raises RegistryError, which lists what there is instead."""
    ggufs = sorted((file for file in files if file.path.lower().endswith(".gguf")), key=_order)
    projectors = [file for file in ggufs if "mmproj" in file.name.lower()]
    models = _models(file for file in ggufs if file not in projectors and "imatrix" not in file.name.lower())
    if not models:
        raise RegistryError("the repository holds no GGUF file of a model")
    wanted = _preferred(models, _PREFERRED) if tag == DEFAULT_TAG else _named(models, tag)
    projector = _preferred([[file] for file in projectors], _PROJECTORS)[0] if projectors else None
    return Choice(tuple(wanted), projector)


def _order(file: RepositoryFile) -> tuple[int, str]:
    return file.path.count("/"), file.path


def _models(files: Iterable[RepositoryFile]) -> list[list[RepositoryFile]]:
    """Group the shards of each split file; every other file is a model of its own."""
    groups: defaultdict[str, list[RepositoryFile]] = defaultdict(list)
    for file in files:
        shard = SHARD_NAME.fullmatch(file.path)
        groups[shard[1] if shard else file.path].append(file)
    return list(groups.values())


def _preferred(models: list[list[RepositoryFile]], labels: Sequence[str]) -> list[RepositoryFile]:
    by_label = {model[0].label: model for model in reversed(models)}
    return next((by_label[label] for label in labels if label in by_label), models[0])


def _named(models: list[list[RepositoryFile]], tag: str) -> list[RepositoryFile]:
    label = tag.upper()
    for fits in (
        lambda file: file.label == label,
        lambda file: file.label == f"UD-{label}",
        lambda file: tag.lower() in file.titles,
    ):
        found = next((model for model in models if fits(model[0])), None)
        if found:
            return found
    names = [model[0].label or model[0].name for model in models]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    raise RegistryError(f'the repository has no "{tag}"; it has {", ".join(names[:_SHOWN])}{more}')
