"""Who we are to Microsoft: a secret, a certificate, or what the machine is.

Source: Microsoft, "Azure Identity client library for Python".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, SecretStr

from connectors._azure.reading.failure import unreachable
from connectors._reading.base import DeniedError, SourceError

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


class AzureSettings(BaseModel):
    """How to log on; part of the settings of every reader of Azure."""

    tenant_id: str = Field("", description="Directory (tenant) id; not needed on Azure itself.")
    client_id: str = Field("", description="Application (client) id of an app or an identity.")
    client_secret: SecretStr = Field(SecretStr(""), description="Secret of the application.")
    client_certificate: str = Field(
        "", description="Path of a PEM or PFX with the application's certificate and key."
    )
    authority: str = Field(
        "https://login.microsoftonline.com", description="Where tokens come from (national clouds)."
    )
    ca: str = Field("", description="Path of certificates to trust instead of the system's.")


class Credential:
    """Tokens for one set of settings.

    Parameters
    ----------
    settings
        An `AzureSettings`.
    """

    def __init__(self, settings: Any) -> None:
        self._settings = settings
        self._made: TokenCredential | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments for Microsoft's clients: no retries, for the runner waits itself."""
        found: dict[str, Any] = {"retry_total": 0}
        if self._settings.ca:
            found["connection_verify"] = self._settings.ca
        return found

    def get(self, *, fresh: bool = False) -> TokenCredential:
        """Return the credential; `fresh` forgets what tokens it has."""
        if fresh:
            self.close()
        if self._made is None:
            self._made = self._make()
        return self._made

    def close(self) -> None:
        """Let go of connections, and forget tokens."""
        made, self._made = self._made, None
        if made is not None and hasattr(made, "close"):
            made.close()

    def token(self, scope: str, *, fresh: bool = False) -> str:
        """Return a bearer token for `scope`.

        Raises
        ------
        DeniedError
            There are no credentials, or they are wrong or expired.
        SourceError
            The authority cannot be reached.
        """
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        try:
            return self.get(fresh=fresh).get_token(scope).token
        except ClientAuthenticationError as error:
            if unreachable(error):
                raise SourceError(f"{self._settings.authority}: {_short(error)}") from error
            raise DeniedError(f"{_short(error)}; set tenant_id, client_id and a secret") from error
        except AzureError as error:
            raise SourceError(f"{self._settings.authority}: {_short(error)}") from error

    def _make(self) -> TokenCredential:
        from azure import identity

        chosen = self._settings
        options = self.options | {"authority": chosen.authority}
        # A cloud that the library does not know is not asked about at Microsoft's.
        if not chosen.authority.endswith("login.microsoftonline.com"):
            options["disable_instance_discovery"] = True
        if chosen.client_secret.get_secret_value():
            secret = chosen.client_secret.get_secret_value()
            return identity.ClientSecretCredential(
                chosen.tenant_id, chosen.client_id, secret, **options
            )
        if chosen.client_certificate:
            return identity.CertificateCredential(
                chosen.tenant_id, chosen.client_id, chosen.client_certificate, **options
            )
        chain: dict[str, Any] = {"exclude_interactive_browser_credential": True}
        if chosen.client_id:
            chain["managed_identity_client_id"] = chosen.client_id
        return identity.DefaultAzureCredential(**chain, **options)


def _short(error: Exception) -> str:
    """Return the first line of an error, which says it all."""
    return str(error).partition("\n")[0][:300] or type(error).__name__
