"""Preferences of the console: the text, and that nobody but their owner can set them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.control import signers, statements, wire
from bastion.control.client import Client
from bastion.control.preferences import LINES_LIMIT, TEXT_LIMIT, Preferences, PreferencesError, parse
from bastion.errors import Conflict, NotAllowed, UsageError
from tests.support.house import House

TEXT = "theme = nord\nconfirm = target\nrequest.approve = f2\nrequest.escalate = ^,f9\n"


def test_what_is_written_is_read() -> None:
    wanted = Preferences("nord", "target", (("request.approve", "f2"), ("request.escalate", "^,f9")))
    assert parse(TEXT) == wanted
    assert wanted.text() == TEXT
    assert parse("request.escalate=^,f9\n\n  confirm =target\nrequest.approve= f2\ntheme=nord") == wanted
    assert parse("") == Preferences()
    assert parse("list.filter = =").keymap == {"list.filter": "="}


@pytest.mark.parametrize(
    "text",
    ["x", "= f2", "colour = red", "theme =", "theme = a\ntheme = b", "confirm = maybe", "request.approve = \x1b[2J",
     "request.approve = ü", "Request.Approve = f2", "theme = " + "x" * 81, "a.b.c = d", "theme = a\rconfirm = key"],
)  # fmt: skip
def test_what_is_no_such_text_is_refused(text: str) -> None:
    with pytest.raises(PreferencesError):
        parse(text)


def test_the_limits() -> None:
    parse("\n" * LINES_LIMIT)
    parse(" " * TEXT_LIMIT)
    for text in ("\n" * (LINES_LIMIT + 1), " " * (TEXT_LIMIT + 1)):
        with pytest.raises(PreferencesError):
            parse(text)


@given(st.text(alphabet=st.sampled_from("abk.= \n,^f2\x1b\tü"), max_size=60))
def test_any_text_reads_or_is_refused_and_its_form_is_stable(text: str) -> None:
    try:
        wanted = parse(text)
    except PreferencesError:
        return
    assert parse(wanted.text()) == wanted
    assert wanted.text().isascii()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"))
    made.start()
    yield made
    made.stop()


async def shown(client: Client) -> str:
    return (await client.call(wire.ShowPreferences, wire.PreferencesInfo)).text


def stated(client: Client, text: str = TEXT, *, seconds: int = 60, origin: str = "") -> bytes:
    expires = time.time_ns() // 1000 + seconds * 1_000_000
    return statements.encode(
        statements.PreferencesStatement(
            origin=origin or client.welcome.origin, text=text, expires=expires, checkpoint="0" * 64
        )
    )


@pytest.mark.e2e
async def test_they_are_kept_for_their_owner_and_in_the_ledger(house: House) -> None:
    async with await house.remote("ana") as ana, await house.remote("ben") as ben:
        assert await shown(ana) == ""
        assert (await ana.prefer(TEXT)).identity == "ana"
        assert await shown(ana) == TEXT
        assert await shown(ben) == ""
        with pytest.raises(NotAllowed):
            await ben.call(wire.ShowPreferences, wire.PreferencesInfo, identity="ana")
        lines = await ana.call(wire.ListLedger, list[wire.LedgerLine], after=-1, limit=1000)
        assert any(b'"preferences.set"' in line.entry and b"SSH SIGNATURE" in line.entry for line in lines)
    house.stop()
    house.start()
    async with await house.remote("ana") as ana:
        assert await shown(ana) == TEXT
        await ana.prefer("")
        assert await shown(ana) == ""


@pytest.mark.e2e
async def test_nobody_else_can_set_them(house: House) -> None:
    anas, bens = (signers.open_file(house.work / name) for name in ("ana", "ben"))
    async with await house.remote("ana") as ana, await house.remote("ben") as ben, await house.remote("eve") as eve:

        async def send(by: Client, statement: bytes, signature: str) -> None:
            await by.call(wire.SetPreferences, wire.PreferencesInfo, statement=statement, signature=signature)

        statement = stated(ana)
        signature = await anas.sign(statement, wire.PREFERENCES_NAMESPACE)
        with pytest.raises(NotAllowed):  # another person's connection
            await send(ben, statement, signature)
        with pytest.raises(NotAllowed):
            await send(ana, statement, "")
        with pytest.raises(NotAllowed):  # no other signature of hers is one for this
            await send(ana, statement, await anas.sign(statement, wire.DECISION_NAMESPACE))
        with pytest.raises(NotAllowed):
            await send(ana, stated(ana, "theme = nord\n"), signature)
        with pytest.raises(NotAllowed):
            await eve.prefer(TEXT)
        async with await house.local() as local:  # the administrator, without her key
            with pytest.raises(NotAllowed):
                await send(local, statement, "")
        for seconds in (-1, 7 * 86400):
            late = stated(ana, seconds=seconds)
            with pytest.raises(Conflict):
                await send(ana, late, await anas.sign(late, wire.PREFERENCES_NAMESPACE))
        elsewhere = stated(ana, origin="other.example/00000000")
        with pytest.raises(Conflict):
            await send(ana, elsewhere, await anas.sign(elsewhere, wire.PREFERENCES_NAMESPACE))
        bad = stated(ana, "theme=nord")  # not canonical
        with pytest.raises(UsageError):
            await send(ana, bad, await anas.sign(bad, wire.PREFERENCES_NAMESPACE))
        assert await shown(ana) == ""
        await send(ana, statement, signature)
        await ana.prefer("")
        with pytest.raises(Conflict):  # an old statement does not come back
            await send(ana, statement, signature)
        own = stated(ben)
        await send(ben, own, await bens.sign(own, wire.PREFERENCES_NAMESPACE))
        assert (await shown(ana), await shown(ben)) == ("", TEXT)
