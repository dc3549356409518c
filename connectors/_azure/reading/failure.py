"""What an error of Microsoft's client libraries means for the runner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from connectors._reading.base import DeniedError, SourceError
from connectors._reading.polling.api import retry_after

if TYPE_CHECKING:
    from azure.core.exceptions import AzureError

_REFUSED: Final = (401, 403)


def status_of(error: AzureError) -> int | None:
    """Return the status of the answer that an error is about."""
    answer = getattr(error, "response", None)
    return getattr(error, "status_code", None) or getattr(answer, "status_code", None)


def unreachable(error: BaseException | None) -> bool:
    """Say whether it is the network that failed, and not we who were refused.

    azure-identity makes an authentication error of either.
    """
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError

    cause = error.__cause__ if error is not None else None
    return isinstance(cause, ServiceRequestError | ServiceResponseError)


def failure(error: AzureError, what: str, needs: str) -> SourceError:
    """Return what to raise for `error`.

    Parameters
    ----------
    what
        What was tried.
    needs
        The role to assign where it was refused.
    """
    from azure.core.exceptions import ClientAuthenticationError

    answer = getattr(error, "response", None)
    status = status_of(error)
    wait = retry_after(answer.headers.get("Retry-After")) if answer is not None else None
    said = " ".join(str(error).split())[:300]
    refused = isinstance(error, ClientAuthenticationError) and not unreachable(error)
    if refused or status in _REFUSED:
        return DeniedError(f"{what}: refused: {said}; assign {needs}", wait)
    return SourceError(f"{what}: {type(error).__name__} {status or ''}: {said}", wait)
