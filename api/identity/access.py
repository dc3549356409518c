"""What routes of identity share: keys, credentials, limits, and the database of all tenants."""

from __future__ import annotations

from typing import Annotated, NamedTuple, Self

from fastapi import Depends
from starlette.requests import HTTPConnection

from api.deps import ActorDep, Database, ServicesDep
from api.errors import Problem
from api.identity.credentials import Credentials, FileTokens
from api.identity.login import Desk
from api.identity.rates import Rates
from api.identity.signing import Keys
from api.permissions import PLATFORM, Principal
from sentinel import postgres
from sentinel.settings import Settings

#: Whose things are that name no tenant.
DEFAULT_TENANT = "default"


class Identity(NamedTuple):
    """What one process of the API knows of who asks; nothing that would be missed."""

    keys: Keys
    credentials: Credentials
    rates: Rates

    @classmethod
    def load(cls, settings: Settings) -> Self:
        """Read the token files of SENTINEL_HOME; raise `SettingsError` where that fails."""
        keys = Keys(settings.home)
        credentials = Credentials(FileTokens.load(settings.home), keys)
        return cls(keys, credentials, Rates(settings))


async def identity(connection: HTTPConnection) -> Identity:
    """Return what this process knows of who asks."""
    found: Identity = connection.app.state.identity
    return found


async def everywhere(services: ServicesDep, actor: ActorDep) -> Database:
    """Return the database in the name of all tenants, before it is known who asks."""
    return Database(services, postgres.ALL_TENANTS, actor)


def held(who: Principal) -> frozenset[str]:
    """Return what `who` may do, and hence may let others do."""
    return frozenset(name for name in who.permissions if who.may(name))


def at_most(who: Principal, permissions: frozenset[str], what: str) -> None:
    """Raise `Problem` (403) where `what` has permissions that `who` lacks: no one gives more."""
    if beyond := sorted(permissions - PLATFORM - held(who)):
        raise Problem(403, f"{what}: expected permissions of your own at most, found {beyond[0]}")


def whose(who: Principal, wanted: str | None) -> str:
    """Return the tenant that is meant; raise `Problem` (403) where it is another's."""
    if who.everywhere:
        return wanted or DEFAULT_TENANT
    if wanted not in {None, who.tenant}:
        raise Problem(403, f"tenant: expected {who.tenant}, your own, found {wanted}")
    return who.tenant


IdentityDep = Annotated[Identity, Depends(identity)]
EverywhereDep = Annotated[Database, Depends(everywhere)]


async def desk(identity: IdentityDep, everywhere: EverywhereDep, actor: ActorDep) -> Desk:
    """Return where this request may show who it is; one more attempt of its address.

    Raises
    ------
    Problem
        429: too many of that address.
    """
    identity.rates.sign_in(actor.address)
    return Desk(everywhere, identity.keys, actor)


DeskDep = Annotated[Desk, Depends(desk)]
