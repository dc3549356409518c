"""Who we are to Google: a key file, or what the machine is (application default credentials).

Source: Google, "google-auth: user guide".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, Field

from connectors._reading.base import DeniedError, SourceError
from connectors._reading.polling.api import retry_after

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_REFUSED: Final = (401, 403)


class GoogleSettings(BaseModel):
    """How to log on; part of the settings of every reader of Google Cloud."""

    key_file: str = Field(
        "",
        description="Path of a service account's key; none: application default credentials "
        "(the machine's own, or a federation's).",
    )
    endpoint: str = Field("", description="Address of the API instead of Google's.")


def credentials(settings: Any) -> Credentials:
    """Return the credentials of `settings`.

    Raises
    ------
    DeniedError
        There are none, or the file is no key.
    """
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import service_account

    try:
        if settings.key_file:
            return service_account.Credentials.from_service_account_file(  # type: ignore[no-any-return, no-untyped-call]
                settings.key_file, scopes=[SCOPE]
            )
        made, _ = google.auth.default(scopes=[SCOPE])
    except (GoogleAuthError, OSError, ValueError) as error:
        raise DeniedError(f"expected credentials of Google Cloud, found: {error}") from error
    return made


def failure(error: Exception, what: str, needs: str) -> SourceError:
    """Return what to raise for an error of Google's client libraries."""
    from google.auth.exceptions import GoogleAuthError, TransportError

    status = getattr(error, "code", None)
    answer = getattr(error, "response", None)
    wait = retry_after(answer.headers.get("Retry-After")) if answer is not None else None
    said = " ".join(str(error).split())[:300]
    wrong = isinstance(error, GoogleAuthError) and not isinstance(error, TransportError)
    if wrong or status in _REFUSED:
        return DeniedError(f"{what}: refused: {said}; grant {needs}", wait)
    return SourceError(f"{what}: {type(error).__name__}: {said}", wait)
