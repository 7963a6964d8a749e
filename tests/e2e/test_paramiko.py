"""paramiko as the agent's client, of exec and of the shell, where `./dev bypass mitm` has installed it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.bypass.adapters.ours import Ours
from tests.support import peers

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.peers,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not peers.installed(), reason="paramiko is not installed: `./dev bypass mitm` does that"),
]

CLIENT = """
import sys, paramiko
port, known, key, what = sys.argv[1:]
client = paramiko.SSHClient()
client.load_host_keys(known)
client.set_missing_host_key_policy(paramiko.RejectPolicy())
client.connect("127.0.0.1", int(port), "web-1", key_filename=key, allow_agent=False, look_for_keys=False, timeout=20)
channel = client.get_transport().open_session()
if what == "exec":
    channel.exec_command("echo from-exec; exit 3")
elif what == "terminal":
    channel.get_pty("vt\x1b[2J100", 300, 40)
    channel.exec_command("stty size; echo $TERM; exit 5")
else:
    channel.get_pty()
    channel.invoke_shell()
    channel.sendall("echo from''-shell; exit 4\\r")
text = b""
while data := channel.recv(4096):
    text += data
print(text.decode())
sys.exit(channel.recv_exit_status())
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours() -> AsyncIterator[Ours]:
    async with Ours() as made:
        yield made


@pytest.mark.parametrize(
    ("what", "command", "text", "status"),
    [
        ("exec", b"echo from-exec; exit 3", b"from-exec", 3),
        ("terminal", b"stty size; echo $TERM; exit 5", b"40 300\r\ndumb", 5),
        ("shell", b"echo from''-shell; exit 4", b"from-shell", 4),
    ],
)
async def test_what_it_asks_for_is_held_and_runs_once_approved(
    ours: Ours, what: str, command: bytes, text: bytes, status: int
) -> None:
    work = ours.house.work
    words = [str(ours.house.port), str(work / "known_hosts"), str(work / "agent-7"), what]
    process = await asyncio.create_subprocess_exec(str(peers.PYTHON), "-c", CLIENT, *words, stdout=-1, stderr=-1)
    await ours.house.decide(ours.ana, command=command)
    outcome = await ours.house.finish(process)
    assert (outcome.status, text in outcome.stdout) == (status, True), outcome
