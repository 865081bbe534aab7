"""The error tree.

A class carries the HTTP status that Ollama answers and the facts of the failure. Where the same
failure reads differently on two endpoints, the text is made in ``api/`` from those facts.
"""

from __future__ import annotations


class PollamaError(Exception):
    """Any failure that a client is told about. ``status`` is the HTTP status of the native API."""

    status = 500


class ConfigError(PollamaError):
    """A setting is wrong; the text names the file and the key."""


class BadRequestError(PollamaError):
    """The request cannot be served as it is."""

    status = 400


class NotFoundError(PollamaError):
    """Something that the request names does not exist."""

    status = 404


class ModelNotFoundError(NotFoundError):
    """No manifest answers to ``name`` (as the client sent it)."""

    def __init__(self, name: str) -> None:
        super().__init__(f"model '{name}' not found")
        self.name = name


class NameRequiredError(BadRequestError):
    """A request without a model name."""

    def __init__(self) -> None:
        super().__init__("model is required")


class InvalidNameError(BadRequestError):
    """``name`` does not follow the grammar of model names."""

    def __init__(self, name: str) -> None:
        super().__init__("invalid model name")
        self.name = name


class ForbiddenError(PollamaError):
    """Refused by policy (cloud features without a cloud)."""

    status = 403


class UnauthorizedError(PollamaError):
    """A credential is missing or was refused."""

    status = 401


class OptionTypeError(PollamaError):
    """An option has the wrong JSON type; Ollama answers 500 here, not 400."""

    def __init__(self, key: str, expected: str) -> None:
        super().__init__(f'option "{key}" must be {expected}')
        self.key = key


class TemplateError(PollamaError):
    """A prompt template does not parse or fails while it is executed; the text is Go's."""


class FormatError(PollamaError):
    """``format`` is neither ``"json"`` nor a JSON schema that can be turned into a grammar."""


class StoreError(PollamaError):
    """The model store on disk could not be read or written; the text names the file."""


class WeightsError(PollamaError):
    """A GGUF file is damaged or of a kind that cannot be served; the text names file and reason."""


class DigestMismatchError(BadRequestError):
    """Uploaded or stored bytes do not hash to the digest they are named by."""


class QueueFullError(PollamaError):
    """``OLLAMA_MAX_QUEUE`` requests are waiting already."""

    status = 503

    def __init__(self) -> None:
        super().__init__("server busy, please try again.  maximum pending requests exceeded")


class PlacementError(PollamaError):
    """The model fits on no set of devices, even when everything idle leaves; the text has the numbers."""


class LoadError(PollamaError):
    """The runner could not load the model."""


class RunnerDiedError(PollamaError):
    """The runner process ended while it had work."""

    def __init__(self, detail: str = "") -> None:
        text = (
            "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
            "check ollama server logs for details"
        )
        super().__init__(f"{text}: {detail}" if detail else text)


class GenerationError(PollamaError):
    """The engine failed while it was producing; ``status`` is passed through to the client."""

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


class PromptTooLongError(BadRequestError):
    """The prompt does not fit and the request does not allow it to be shortened."""


class CanceledError(PollamaError):
    """The client went away before an answer began."""

    status = 499

    def __init__(self) -> None:
        super().__init__("request canceled")


class ListenError(PollamaError):
    """The server cannot listen where it was told to."""
