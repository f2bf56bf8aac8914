"""A registry that is spoken to: it is logged in to when it asks, and what may do better is asked again."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from pipeline.catalog.credentials import Credentials, find_credentials
from pipeline.catalog.patience import PATIENCE, Backoff, Patience
from pipeline.catalog.tokens import authorize, login_remedy
from pipeline.catalog.wire import Answer, BusyError, Call, origin, raise_for_status, send

if TYPE_CHECKING:
    import httpx

Scopes = frozenset[str]
_UNAUTHORIZED = 401
_FORBIDDEN = frozenset({401, 403})


@dataclass(slots=True)
class Session:
    """A registry, and what was learnt of it: a login for each set of scopes, and whether it ever answered."""

    registry: str
    base: httpx.URL
    client: httpx.AsyncClient
    credentials: Credentials | None = None
    patience: Patience = PATIENCE
    token_hosts: Collection[str] = ()
    met: bool = False
    _logins: dict[Scopes, str] = field(default_factory=dict, repr=False)
    _logging_in: anyio.Lock = field(default_factory=anyio.Lock)

    async def ask(self, call: Call, scopes: Scopes, accepted: Collection[int]) -> Answer:
        """Return the answer to a call, made again while that may help; raises OutputError."""
        backoff = Backoff(self.patience)
        while True:
            try:
                return await self.ask_once(call, scopes, accepted)
            except BusyError as error:
                await backoff.pause(error, met=self.met)

    async def ask_once(self, call: Call, scopes: Scopes, accepted: Collection[int]) -> Answer:
        """Return the answer to a call made once, after one login where it asks for one.

        Raises BusyError where another try may do better, OutputError where not.
        """
        ours = origin(call.url) == origin(self.base)
        used = self._logins.get(scopes, "") if ours else ""
        answer = await self._send(call, used)
        if answer.status == _UNAUTHORIZED and ours and origin(answer.url) == origin(self.base):
            answer = await self._send(call, await self._log_in(answer, scopes, used))
        remedy = login_remedy(self.registry) if answer.status in _FORBIDDEN else ""
        raise_for_status(call, answer, accepted, remedy)
        return answer

    async def _send(self, call: Call, authorization: str) -> Answer:
        answer = await send(self.client, call, authorization)
        self.met = True
        return answer

    async def _log_in(self, answer: Answer, scopes: Scopes, refused: str) -> str:
        """Return a login that is not the one that was refused; of several who ask at once, one gets it for all."""
        async with self._logging_in:
            known = self._logins.get(scopes, "")
            if known in {"", refused}:
                known = await authorize(answer, scopes, self.client, self.registry, self.credentials, self.token_hosts)
                self._logins[scopes] = known
            return known


async def open_session(
    registry: str,
    base_url: str,
    client: httpx.AsyncClient,
    *,
    environment: Mapping[str, str] | None = None,
    token_hosts: Collection[str] = (),
    patience: Patience | None = None,
) -> Session:
    """Return a session with a registry, with the credentials that are to be found for it; raises OutputError."""
    import httpx  # slow to import, and most builds speak to no registry

    credentials = await find_credentials(registry, os.environ if environment is None else environment)
    return Session(registry, httpx.URL(base_url), client, credentials, patience or PATIENCE, token_hosts)
