"""Model names: their grammar, defaults and forms.

``[scheme://][host/][namespace/]model[:tag]``. Valid names are safe as paths without any escaping: every part
begins with a letter, a digit or an underscore.
"""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass, replace
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import quote

from pollama.errors import BadRequestError, InvalidNameError, NameRequiredError

DEFAULT_HOST: Final = "registry.ollama.ai"
DEFAULT_NAMESPACE: Final = "library"
DEFAULT_TAG: Final = "latest"
DEFAULT_SCHEME: Final = "https"

_CACHED_LENGTH: Final = 1024
_MISSING: Final = "!MISSING!"
_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_MODEL: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_URL_HOST_CHARACTERS: Final = "!$&'()*+,;=:[]<>\""


@dataclass(frozen=True, slots=True)
class ModelName:
    """The parts of a name; "" is a part that was not given, ``!MISSING!`` one that is empty beside its separator."""

    host: str = ""
    namespace: str = ""
    model: str = ""
    tag: str = ""
    scheme: str = ""

    @property
    def is_valid(self) -> bool:
        """Whether all parts are given and follow the grammar (the scheme is not looked at)."""
        return (
            _HOST.fullmatch(self.host) is not None
            and is_namespace(self.namespace)
            and _MODEL.fullmatch(self.model) is not None
            and _MODEL.fullmatch(self.tag) is not None
        )

    @property
    def short(self) -> str:
        """The shortest form that still means this name; model and tag are always there."""
        text = f"{self.model}:{self.tag}"
        if not _same(self.host, DEFAULT_HOST):
            return f"{self.host}/{self.namespace}/{text}"
        return text if _same(self.namespace, DEFAULT_NAMESPACE) else f"{self.namespace}/{text}"

    @property
    def repository(self) -> str:
        """The name by which a registry knows the model: ``namespace/model``."""
        return f"{self.namespace}/{self.model}"

    @property
    def path(self) -> str:
        """Path of the manifest below ``manifests/``. Raises ValueError for an invalid name."""
        if not self.is_valid:
            raise ValueError(f"invalid model name {str(self)!r} has no path")
        return f"{self.host}/{self.namespace}/{self.model}/{self.tag}"

    @property
    def base_url(self) -> str:
        """URL of the registry that the name points to."""
        host = quote(self.host, safe=_URL_HOST_CHARACTERS, errors="surrogateescape")
        return f"{self.scheme}://{host}"

    def merged(self, defaults: ModelName) -> ModelName:
        """Return this name with the parts that were not given, save the model, taken from ``defaults``."""
        return ModelName(
            self.host or defaults.host,
            self.namespace or defaults.namespace,
            self.model,
            self.tag or defaults.tag,
            self.scheme or defaults.scheme,
        )

    def matches(self, other: ModelName) -> bool:
        """Whether both names are the same when case is ignored; schemes do not count."""
        return all(_same(*pair) for pair in zip(astuple(self)[:4], astuple(other)[:4], strict=True))

    def __str__(self) -> str:
        host = f"{self.host}/" if self.host else ""
        namespace = f"{self.namespace}/" if self.namespace else ""
        tag = f":{self.tag}" if self.tag else ""
        return f"{host}{namespace}{self.model}{tag}"


DEFAULTS: Final = ModelName(DEFAULT_HOST, DEFAULT_NAMESPACE, "", DEFAULT_TAG, DEFAULT_SCHEME)


def is_namespace(text: str) -> bool:
    """Whether ``text`` can be the namespace of a model."""
    return _NAMESPACE.fullmatch(text) is not None


def parse_bare(text: str) -> ModelName:
    """Split ``text`` into its parts, from right to left, without filling in defaults. Never fails."""
    tag = model = namespace = scheme = ""
    if text.rfind(":") > text.rfind("/"):
        text, tag = _cut(text, ":")
    if "/" not in text:
        return ModelName(model=text or (_MISSING if tag else ""), tag=tag)
    text, model = _cut(text, "/")
    if "/" not in text:
        return ModelName(namespace=text, model=model, tag=tag)
    host, namespace = _cut(text, "/")
    if "://" in host:
        scheme, host = host.split("://", 1)
    return ModelName(host, namespace, model, tag, scheme)


def parse(text: str) -> ModelName:
    """Split ``text`` into its parts and fill in the defaults. Never fails: ask ``is_valid``."""
    return parse_bare(text).merged(DEFAULTS)


def from_path(path: str) -> ModelName | None:
    """Return the name whose manifest lies at ``path`` below ``manifests/``; None when there is no such name."""
    parts = path.split("/")
    name = ModelName(*parts) if len(parts) == 4 else ModelName()
    return name if name.is_valid else None


@dataclass(frozen=True, slots=True)
class Reference:
    """A name as clients send it: the name itself and the wish for a model of the cloud or of this machine."""

    base: str
    source: Literal["", "cloud", "local"] = ""

    @property
    def stored_base(self) -> str:
        """The name under which the model is stored here; the stub of a cloud model carries the suffix in its tag."""
        if self.source != "cloud":
            return self.base
        tagged = self.base.rfind(":") > self.base.rfind("/")
        return f"{self.base}-cloud" if tagged else f"{self.base}:cloud"


def parse_reference(text: str) -> Reference:
    """Take the source suffix off ``text``.

    Raises NameRequiredError for a blank text and BadRequestError for two suffixes.
    """
    trimmed = text.strip()
    if not trimmed:
        raise NameRequiredError
    reference = _without_suffix(trimmed)
    if reference.source and _without_suffix(reference.base).source:
        raise BadRequestError(f'use either :local or :cloud, not both: "{trimmed}"')
    return reference


def can_be_name(text: str) -> bool:
    """Whether ``text`` follows the grammar of names, with or without a source suffix."""
    try:
        stored_name(text)
    except (InvalidNameError, NameRequiredError):
        return False
    except BadRequestError:
        pass  # two suffixes, about which the server has more to say
    return True


def stored_name(text: str) -> tuple[ModelName, Reference]:
    """Return the name under which the model that ``text`` asks for is stored here, and the wish itself.

    Raises NameRequiredError, InvalidNameError, or BadRequestError for two suffixes.
    """
    # clients choose the text: what they send must not fill the cache with megabytes
    return _stored_name(text) if len(text) <= _CACHED_LENGTH else _stored_name.__wrapped__(text)


@lru_cache(maxsize=4096)
def _stored_name(text: str) -> tuple[ModelName, Reference]:
    reference = parse_reference(text)
    name = parse(reference.stored_base)
    if not name.is_valid:
        raise InvalidNameError(text)
    return name, reference


def respelled(name: ModelName, stored: list[ModelName]) -> ModelName:
    """Return ``name`` in the spelling of the stored names: each part on its own follows one that differs in case only.

    A part that is stored exactly as it was typed keeps its spelling.
    """
    spelling = name
    for part in ("host", "namespace", "model", "tag"):
        typed = getattr(name, part)
        known = {getattr(other, part) for other in stored}
        if typed not in known:
            spelling = replace(spelling, **{part: min((text for text in known if _same(text, typed)), default=typed)})
    return spelling


def _without_suffix(text: str) -> Reference:
    base, colon, suffix = text.rpartition(":")
    if not colon:
        return Reference(text)
    wanted = suffix.strip().lower()
    if wanted == "cloud":
        return Reference(base, "cloud")
    if wanted == "local":
        return Reference(base, "local")
    if wanted.endswith("-cloud") and "/" not in wanted:
        return Reference(f"{base}:{suffix.strip()[: -len('-cloud')]}", "cloud")
    return Reference(text)


def _cut(text: str, separator: str) -> tuple[str, str]:
    before, _, after = text.rpartition(separator)
    return before or _MISSING, after or _MISSING


def _same(one: str, other: str) -> bool:
    return one == other or _fold(one) == _fold(other)


def _fold(text: str) -> str:
    """Fold case as Unicode's simple folding does: one character stays one character."""
    if text.isascii():
        return text.lower()
    folded = ((character, character.casefold()) for character in text)
    return "".join(fold if len(fold) == 1 else character.lower() for character, fold in folded)
