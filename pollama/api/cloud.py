"""Names of Ollama's cloud (``x:cloud``): pollama has no cloud to forward them to."""

from __future__ import annotations

from typing import Final

from pollama.api.services import Services
from pollama.errors import ForbiddenError, UnauthorizedError

MODEL: Final = "remote model is unavailable"
DETAILS: Final = "remote model details are unavailable"


def refuse_cloud_name(services: Services, name: str, unavailable: str = MODEL) -> None:
    """Raise for a name that explicitly means a model of the cloud.

    ForbiddenError where cloud features are turned off, UnauthorizedError where they are not: nobody is signed in.
    What is no name at all raises as a look-up of the model would.
    """
    wanted = services.library.asks_for_cloud(name)
    if wanted and services.cloud_disabled:
        raise cloud_disabled(unavailable)
    if wanted:
        raise UnauthorizedError("unauthorized")


def cloud_disabled(unavailable: str) -> ForbiddenError:
    """Return the refusal of something that belongs to the cloud."""
    return ForbiddenError(f"ollama cloud is disabled: {unavailable}")
