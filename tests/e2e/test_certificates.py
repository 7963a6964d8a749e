"""`--credential ca`: a real sshd that trusts the bastion's authority and nobody's key. Promises P1, P2, P5."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from bastion.admin import administering
from bastion.config import load
from bastion.control import wire
from bastion.control.client import Client
from bastion.mint import COMMAND_LIMIT, Mint
from bastion.model import Choice
from tests.support.client import Client as ssh_client
from tests.support.house import House
from tests.support.sshd import LOGIN, Sshd, descendants

DROP_IN = Path(__file__).resolve().parents[2] / "deploy" / "target" / "20-agent-bastion-ca.conf"

POLICY = 'policy "reads" {\n  version 1\n  allow low\n}\n'

pytestmark = pytest.mark.e2e


def trusting(work: Path, house: House, *, extra: str = "") -> Sshd:
    """A target whose sshd knows the authority, and no key."""
    ca = Path("/run/sshd") if os.geteuid() == 0 else work
    keys = ca / f"bastion-test-ca-{os.getpid()}-{work.name}"
    keys.write_bytes(house.config.upstream_ca.with_suffix(".pub").read_bytes())
    drop_in = DROP_IN.read_text().replace("/etc/ssh/agent-bastion-ca.pub", str(keys))
    sshd = Sshd(work, extra=f"{drop_in}\n{extra}")
    sshd.start()
    return sshd


def register(house: House, name: str, sshd: Sshd) -> None:
    with administering(house.config, "local:0") as admin:
        admin.add_target(name, f"127.0.0.1:{sshd.port}", [LOGIN], "test", [sshd.host_key], "ca")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"))
    good = trusting(tmp_path_factory.mktemp("good"), made)
    forcing = trusting(tmp_path_factory.mktemp("forcing"), made, extra="ForceCommand echo something else")
    foreign = Sshd(tmp_path_factory.mktemp("foreign"))
    foreign.start()
    for name, sshd in (("web-1", good), ("forced-1", forcing), ("foreign-1", foreign)):
        register(made, name, sshd)
    made.config = load(made.config.path)
    made.start()
    yield made
    made.stop()
    for sshd in (good, forcing, foreign):
        sshd.stop()


@pytest.fixture
async def ana(house: House) -> Iterator[Client]:
    client = await house.remote("ana")
    yield client
    await client.close()


async def test_an_approved_command_runs(house: House, ana: Client, tmp_path: Path) -> None:
    command = f"touch {tmp_path}/canary; cat; exit 3"
    process = await house.ssh("web-1", command, stdin=b"")
    await house.held(ana, command.encode())
    assert not (tmp_path / "canary").exists()
    await house.decide(ana, command=command.encode())
    outcome = await house.finish(process, b"")
    assert outcome.status == 3, outcome.stderr
    assert (tmp_path / "canary").exists()


async def test_it_runs_what_the_certificate_says(house: House, ana: Client) -> None:
    """sshd tells the command what was asked for: not the approved text, which stands in the certificate alone."""
    command = b"printenv SSH_ORIGINAL_COMMAND"
    await house.whitelist(ana, command)
    outcome = await house.run("web-1", command.decode())
    assert (outcome.status, outcome.stdout) == (0, b"the command of the certificate\n")


async def test_every_command_has_a_certificate_of_its_own(house: House, ana: Client) -> None:
    await house.whitelist(ana, b"echo $PPID")
    outcomes = [await house.run("web-1", "echo $PPID") for _ in range(3)]
    assert len({outcome.stdout for outcome in outcomes}) == 3


async def test_much_data(house: House, ana: Client) -> None:
    command = b"head -c 16777216 /dev/zero"
    await house.whitelist(ana, command)
    outcome = await house.run("web-1", command.decode())
    assert (outcome.status, outcome.stdout.count(0)) == (0, 16777216)


async def test_a_target_that_trusts_somebody_else(house: House, ana: Client) -> None:
    await house.whitelist(ana, b"id", target="foreign-1")
    outcome = await house.run("foreign-1", "id")
    assert outcome.status == 125
    assert "refuses the bastion's certificate" in outcome.stderr


async def test_too_long_for_a_certificate(house: House, ana: Client) -> None:
    command = b"true " + b"x" * COMMAND_LIMIT
    process = await house.ssh("web-1", command.decode())
    await house.decide(ana, command=command)
    outcome = await house.finish(process)
    assert outcome.status == 125
    assert "at most 120,000 bytes" in outcome.stderr


async def test_the_mint_dies_and_is_made_anew(house: House, ana: Client) -> None:
    await house.whitelist(ana, b"echo again")
    assert (await house.run("web-1", "echo again")).status == 0
    (mint,) = [pid for pid in descendants(house.pid) if b"bastion.mint" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(mint, signal.SIGKILL)
    outcome = await house.run("web-1", "echo again")
    assert outcome.stdout == b"again\n", outcome.stderr


async def test_a_governed_shell(house: House, ana: Client, tmp_path: Path) -> None:
    """Its certificate holds the driver; the ledger says beforehand that it is opened."""
    client = await ssh_client.start(house.ssh_command("web-1", options=("-tt",)), terminal=True)
    try:
        await client.sees(rb"\$ \Z")
        for typed, seen in (("cd /usr; X=kept", rb"\$ \Z"), ("echo $X-$PWD", rb"kept-/usr\r\n"), ("exit 3", rb"")):
            client.send(typed.encode() + b"\r")
            await house.decide(ana, command=typed.encode())
            await client.sees(seen)
        assert await client.ends() == 3
    finally:
        await client.close()


async def test_a_shell_in_the_shell(house: House, ana: Client) -> None:
    """Its control program stands in the same certificate; that of one in a container does not, so it runs as typed."""
    client = await ssh_client.start(house.ssh_command("web-1", options=("-tt",)), terminal=True)
    try:
        await client.sees(rb"\$ \Z")
        client.send(b"X=outer\r")
        await house.decide(ana, command=b"X=outer")
        client.send(b"bash\r")
        await house.decide(ana, command=b"bash")
        client.send(b"echo in''side-$X; exit 3\r")
        await house.decide(ana, command=b"echo in''side-$X; exit 3")
        await client.sees(rb"inside-\r\n")
        client.send(b"echo ba''ck-$X-$?\r")
        await house.decide(ana, command=b"echo ba''ck-$X-$?")
        await client.sees(rb"back-outer-3\r\n")
        client.send(b"docker exec -it no-such-container sh; echo en''d\r")
        await house.decide(ana, command=b"docker exec -it no-such-container sh; echo en''d")
        await client.sees(rb"end\r\n")
        client.send(b"docker exec -it no-such-container sh\r")
        await house.decide(ana, command=b"docker exec -it no-such-container sh")
        client.send(b"echo sti''ll-$X\r")
        await house.decide(ana, command=b"echo sti''ll-$X")
        await client.sees(rb"still-outer\r\n")
    finally:
        await client.close()


async def test_without_a_terminal(house: House, ana: Client) -> None:
    process = await house.ssh("web-1", options=("-T",), stdin=b"")
    finishing = asyncio.create_task(house.finish(process, b"echo out; echo err >&2\n(exit 4)\n"))
    for command in (b"echo out; echo err >&2", b"(exit 4)"):
        await house.decide(ana, command=command)
    outcome = await finishing
    assert (outcome.status, outcome.stdout) == (4, b"out\n")
    assert "err\n" in outcome.stderr


async def test_a_command_with_a_terminal(house: House, ana: Client) -> None:
    """Its certificate permits the terminal, and holds the command and what looks at its terminal: nothing else."""
    command = "tty; stty -echo; printenv SSH_ORIGINAL_COMMAND; cat; exit 3"
    client = await ssh_client.start(house.ssh_command("web-1", command, options=("-tt",)), terminal=True)
    try:
        await house.decide(ana, command=command.encode())
        await client.sees(rb"/dev/pts/\d+\r\nthe command of the certificate\r\n")
        client.send(b"typed\r")
        await house.decide(ana, command=b"typed\n")
        await client.sees(rb"typed\r\n")
        client.send(b"\x04")
        assert await client.ends() == 3
    finally:
        await client.close()


async def test_a_script_is_read_shown_and_pinned(house: House, ana: Client, tmp_path: Path) -> None:
    script = tmp_path / "deploy.sh"
    script.write_text("echo deployed\n")
    script.chmod(0o755)
    command = f"{script}".encode()
    process = await house.ssh("web-1", command.decode())
    info = await house.held(ana, command)
    assert (info.script, info.script_code) == (str(script), b"echo deployed\n")
    script.write_text("echo changed\n")
    await house.decide(ana, command=command)
    outcome = await house.finish(process)
    assert outcome.status == 125
    assert "does not hold what was approved" in outcome.stderr


async def test_what_policy_allows_runs_beside_the_shell(tmp_path: Path) -> None:
    house = House(tmp_path / "house", POLICY)
    sshd = trusting(tmp_path / "sshd", house)
    register(house, "web-1", sshd)
    house.start()
    client = await ssh_client.start(house.ssh_command("web-1", options=("-tt",)), terminal=True)
    try:
        await client.sees(rb"\$ \Z")
        client.send(b"printenv SSH_ORIGINAL_COMMAND\r")
        await client.sees(rb"the command of the certificate\r\n")
        client.send(b"cd /usr\r")
        await client.sees(rb":/usr\$ \Z")
        client.send(b"pwd\r")
        await client.sees(rb"\n/usr\r\n")
    finally:
        await client.close()
        house.stop()
        sshd.stop()


@pytest.mark.parametrize("program", ["scp", "rsync"])
async def test_what_ends_in_the_bastion_takes_the_targets_sftp(
    house: House, ana: Client, tmp_path: Path, program: str
) -> None:
    """`scp -O` and rsync need no certificate for a command; where nothing is allowed, looking is held as well."""
    (tmp_path / "new").write_text("as it is\n")
    ssh = house.ssh_command("web-1")[:-1]
    options = ["-P" if word == "-p" else word for word in ssh[1:]]
    words = ["scp", "-O", *options] if program == "scp" else ["rsync", "-e", " ".join(ssh)]
    process = await asyncio.create_subprocess_exec(
        *words, str(tmp_path / "new"), f"web-1@127.0.0.1:{tmp_path}/copy", stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    look = await house.held(ana)
    assert look.command.startswith(b"sftp: look at names, sizes, dates and links\n")
    await ana.vote(look, Choice.APPROVE, "fine")
    held = await house.decide(ana)
    assert held.command.startswith(b"sftp: 1 change: write %s/copy\n" % bytes(tmp_path))
    outcome = await house.finish(process)
    assert (outcome.status, (tmp_path / "copy").read_text()) == (0, "as it is\n"), outcome.stderr


async def test_target_check(house: House) -> None:
    local = await house.local()
    rows = {}
    for name in ("web-1", "forced-1", "foreign-1"):
        rows[name] = await local.call(wire.CheckTarget, list[wire.CheckInfo], name=name)
    await local.close()
    assert [row.ok for row in rows["web-1"]] == [True, True]
    assert [row.ok for row in rows["forced-1"]] == [True, False]
    assert "something else" in rows["forced-1"][1].detail
    assert [row.ok for row in rows["foreign-1"]] == [False]


async def test_a_stolen_certificate_runs_nothing_else(house: House, ana: Client, tmp_path: Path) -> None:
    """The key and certificate of one command, used by somebody else within its validity."""

    ca = asyncssh.read_private_key(house.config.upstream_ca)
    key = asyncssh.generate_private_key("ssh-ed25519")
    mint = Mint(ca, None, None, "test")  # type: ignore[arg-type]
    signed = mint._sign(asyncssh.import_public_key(key.export_public_key()), "echo approved", LOGIN, "x", time.time())
    pair = (key, asyncssh.import_certificate(signed))
    port = next(target.address for target in await _targets(house) if target.name == "web-1").rpartition(":")[2]
    async with asyncssh.connect(
        "127.0.0.1", int(port), username=LOGIN, client_keys=[pair], known_hosts=None, config=None, agent_path=None
    ) as connection:
        assert (await connection.run(f"touch {tmp_path}/canary")).stdout == "approved\n"
        assert (await connection.run(f"touch {tmp_path}/canary", term_type=None)).stdout == "approved\n"
        with pytest.raises((asyncssh.Error, OSError, EOFError, ConnectionError)):
            async with connection.start_sftp_client() as sftp:
                await sftp.mkdir(str(tmp_path / "canary"))
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", int(port))
        with pytest.raises((asyncssh.ChannelListenError, asyncssh.ChannelOpenError)):
            await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 1)
    assert not (tmp_path / "canary").exists()


async def _targets(house: House) -> list[wire.TargetInfo]:
    local = await house.local()
    try:
        return await local.call(wire.ListTargets, list[wire.TargetInfo])
    finally:
        await local.close()


async def test_from_an_address_that_the_target_does_not_see(tmp_path: Path) -> None:
    """Somebody behind NAT who did not say so: refused, with a hint."""
    elsewhere = House(tmp_path / "house")
    elsewhere.configure('\n[targets]\nsource_address = "192.0.2.10"\n')
    sshd = trusting(tmp_path / "sshd", elsewhere)
    register(elsewhere, "web-1", sshd)
    elsewhere.start()
    try:
        ana = await elsewhere.remote("ana")
        await elsewhere.whitelist(ana, b"id")
        outcome = await elsewhere.run("web-1", "id")
        assert (outcome.status, "refuses the bastion's certificate" in outcome.stderr) == (125, True)
        assert "source_address" in outcome.stderr
        await ana.close()
    finally:
        elsewhere.stop()
        sshd.stop()
