"""The connection to the daemon: makes it, keeps it, makes it again, and turns what arrives into messages.

Theory of operation. One task, `Feed.run`, owns the connection. It subscribes first and lists afterwards, so nothing
falls between the two; old news that the list brings after newer pushes do no harm (`tui/items.py` merges them). When
the connection is lost it says so, waits, and tries again: at once, then after growing pauses; a key can end the
pause. Where trying again cannot help (a wrong key, a changed host key, a bad configuration) it waits for that key.

Everything else that talks to the daemon goes through `call` and `vote`, and fails as Unreachable while there is no
connection. Messages are only posted; this file never touches the view.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from types import NoneType
from typing import Any, Protocol

from textual.message import Message

from bastion import errors
from bastion.control import wire
from bastion.covering import visible
from bastion.model import Choice
from tui import messages
from tui.editing import Edit
from tui.view import DECIDED_LIMIT, SESSIONS_LIMIT


class Connection(Protocol):
    """One connection to the daemon, as `bastion.control.client` makes it."""

    @property
    def welcome(self) -> wire.Welcome: ...

    async def call(self, call_type: type[wire.Call], result: Any, /, **fields: Any) -> Any:
        """The answer to one call, as the type that its docstring names. Raises bastion.errors."""

    def pushes(self) -> AsyncIterator[wire.Push]:
        """What the daemon pushes; ends, or raises Unreachable, when the connection is lost."""

    async def vote(
        self, info: wire.RequestInfo, choice: Choice, reason: str, mode: str = "", seconds: int = 0, /
    ) -> wire.RequestInfo:
        """Computes the digest of `info`, signs, sends. Raises bastion.errors."""

    async def edit(self, info: wire.RequestInfo, command: bytes, reason: str = "", /) -> wire.RequestInfo:
        """Signs and sends another command in its place; the new request, held. Raises bastion.errors."""

    async def remember(
        self, proposal: wire.ProposalInfo, /, *, pattern: str, everywhere: bool, expires: int
    ) -> wire.WhitelistInfo:
        """Signs and sends a whitelist entry. Raises bastion.errors."""

    async def prefer(self, text: str, /) -> wire.PreferencesInfo:
        """Signs and keeps the caller's preferences. Raises bastion.errors."""

    async def close(self) -> None: ...


Connect = Callable[[], Awaitable[Connection]]
"""Makes a connection; raises bastion.errors."""

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before each further attempt; the last one repeats. A daemon that restarts is back within a second or two."""
CONNECT_LIMIT = 30.0
"""Seconds for one attempt, signatures with a touch included."""
HOPELESS = (errors.UsageError, errors.NotAllowed, errors.HostKeyMismatch, errors.HeadMismatch)
"""Failures that another attempt will not mend."""


class Feed:
    """See the theory of operation above."""

    def __init__(self, connect: Connect, post: Callable[[Message], object]) -> None:
        self._connect = connect
        self._post = post
        self._client: Connection | None = None
        self._served = False
        """The present connection got as far as showing something."""
        self._hurry = asyncio.Event()

    @property
    def me(self) -> str:
        """The caller's name as the daemon knows it; empty while not connected."""
        return self._client.welcome.identity if self._client else ""

    def hurry(self) -> None:
        """Try again now."""
        self._hurry.set()

    async def run(self) -> None:
        """Connects, and connects again, until cancelled."""
        failures = 0
        while True:
            self._served = False
            error: Exception = errors.Unreachable("the bastion closed the connection")
            try:
                await self._once()
            except Exception as raised:  # noqa: BLE001 - whatever it is, the console stays up and says it
                error = raised
            failures = 0 if self._served else failures
            await self._wait(error, 0.0 if isinstance(error, HOPELESS) else PAUSES[min(failures, len(PAUSES) - 1)])
            failures += 1

    async def call(self, call_type: type[wire.Call], result: Any, /, **fields: Any) -> Any:
        """One call. Raises bastion.errors, Unreachable while there is no connection."""
        if self._client is None:
            raise errors.Unreachable("not connected to the bastion")
        return await self._client.call(call_type, result, **fields)

    async def vote_and_remember(
        self, info: wire.RequestInfo, proposal: wire.ProposalInfo, pattern: str, *, everywhere: bool, expires: int
    ) -> None:
        """An approval, and once it counted the whitelist entry; how both went is posted."""
        if not await self.vote(info, Choice.APPROVE, ""):
            return
        try:
            if self._client is None:
                raise errors.Unreachable("not connected")
            entry = await self._client.remember(proposal, pattern=pattern, everywhere=everywhere, expires=expires)
        except Exception as error:  # noqa: BLE001 - a signer can fail in any way; the person must read how
            self._post(messages.Told(f"approved once, but not remembered: {words_of(error)}", "bad"))
        else:
            self._post(messages.Told(f"approved, and remembered as {visible(entry.id, newlines=False)}", "good"))

    async def edit(self, edit: Edit) -> None:
        """Puts a command in the place of another, and approves it if it was judged as it was shown; how it went is
        posted."""
        info = edit.item.info
        try:
            if self._client is None:
                raise errors.Unreachable("not connected")
            made = await self._client.edit(info, edit.command)
        except Exception as error:  # noqa: BLE001 - a signer can fail in any way; the person must read how
            self._post(messages.VoteFailed(info.id, f"it was not edited: {words_of(error)}"))
            return
        self._post(messages.Pushed(wire.RequestChanged(request=made)))
        if edit.same_terms(made):
            await self.vote(made, Choice.APPROVE, "")
        else:
            name = visible(made.id, newlines=False)
            self._post(messages.VoteFailed(info.id, f"{name} is in its place, judged otherwise than was shown: look"))

    async def vote(self, info: wire.RequestInfo, choice: Choice, reason: str, mode: str = "", seconds: int = 0) -> bool:
        """One vote; how it went is posted, and whether it counted is returned. Never raises but when cancelled."""
        return await self._vote(info, choice, reason, mode, seconds) is None

    async def approve_each(self, infos: tuple[wire.RequestInfo, ...]) -> None:
        """A vote for each, one after the other; how each went is posted, and then all together. What was decided
        meanwhile is passed over; anything else, such as a signature that the person declines, ends it."""
        counted, problem = 0, ""
        for info in infos:
            failure = None if problem else await self._vote(info, Choice.APPROVE, "")
            if problem:
                self._post(messages.VoteFailed(info.id, "not sent"))
            elif failure is None:
                counted += 1
            elif not isinstance(failure, errors.Conflict | errors.NotFound):
                problem = words_of(failure)
        style = "good" if counted == len(infos) else "bad"
        end = f"; it stopped there: {problem}" if problem else ""
        self._post(messages.Told(f"{counted} of {len(infos)} votes count{end}", style))

    async def _vote(
        self, info: wire.RequestInfo, choice: Choice, reason: str, mode: str = "", seconds: int = 0
    ) -> Exception | None:
        """One vote; how it went is posted, and what it failed with is returned."""
        if self._client is None:
            self._post(messages.VoteFailed(info.id, "not connected: nothing was sent"))
            return errors.Unreachable("not connected")
        try:
            after = await self._client.vote(info, choice, reason, mode, seconds)
        except errors.Unreachable as error:
            words = f"no answer ({words_of(error)}): unknown whether the vote counted, it will show once connected"
            self._post(messages.VoteFailed(info.id, words))
            return error
        except Exception as error:  # noqa: BLE001 - a signer can fail in any way; the person must read how
            self._post(messages.VoteFailed(info.id, f"the vote did not count: {words_of(error)}"))
            return error
        self._post(messages.Voted(after, choice))
        return None

    async def prefer(self, text: str) -> None:
        """Has preferences kept; how it went is posted."""
        try:
            if self._client is None:
                raise errors.Unreachable("not connected")
            kept = await self._client.prefer(text)
        except Exception as error:  # noqa: BLE001 - a signer can fail in any way; the person must read how
            self._post(messages.Told(f"nothing was kept: {words_of(error)}", "bad"))
        else:
            self._post(messages.Kept(kept.text))
            self._post(messages.Told("kept, for every console over ssh from now on", "good"))

    async def recheck(self, requests: tuple[str, ...]) -> None:
        """Asks again for requests that were held here and that the daemon did not speak of after a new connection."""
        for request in requests:
            try:
                info = await self.call(wire.ShowRequest, wire.RequestInfo, request=request)
            except errors.NotFound:
                self._post(messages.Gone(request))
            except (errors.BastionError, wire.WireError):
                return  # no connection again: the next one brings the question back
            else:
                self._post(messages.Pushed(wire.RequestChanged(request=info)))

    async def _once(self) -> None:
        """One connection from its beginning to its end. Raises what ended it, nothing when the daemon closed it."""
        async with asyncio.timeout(CONNECT_LIMIT):
            client = await self._connect()
        try:
            await client.call(wire.Subscribe, NoneType)
            requests = await self._list(client, wire.ListRequests, list[wire.RequestInfo], DECIDED_LIMIT)
            sessions = await self._list(client, wire.ListSessions, list[wire.SessionInfo], SESSIONS_LIMIT)
            self._client, self._served = client, True
            self._post(messages.Connected(client.welcome, requests, sessions))
            async for push in client.pushes():
                self._post(messages.Pushed(push))
        finally:
            self._client = None
            await _close(client)

    async def _list(self, client: Connection, call: type[wire.Call], result: Any, limit: int) -> list[Any]:
        """A list; empty where the daemon cannot give it, for instance because it is longer than a message may be.

        Nothing held is lost by that: held requests are pushed one by one after `subscribe`.
        """
        try:
            return list(await client.call(call, result, limit=limit))
        except errors.Unreachable:
            raise
        except errors.BastionError as error:
            self._post(messages.Told(f"the list of what is over cannot be had: {words_of(error)}", "warning"))
            return []

    async def _wait(self, error: Exception, retry: float) -> None:
        """Says that there is no connection and waits; without a `retry` time, for a key."""
        self._hurry.clear()
        self._post(messages.Disconnected(words_of(error), retry))
        try:
            async with asyncio.timeout(retry or None):
                await self._hurry.wait()
        except TimeoutError:
            pass


async def _close(client: Connection) -> None:
    """Closes what may be broken already."""
    with contextlib.suppress(Exception):  # it is gone either way, and why was told
        await client.close()


def words_of(error: Exception) -> str:
    """An error as one line."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return visible(str(error), newlines=False) or type(error).__name__
