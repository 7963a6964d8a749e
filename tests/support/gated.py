"""A governed shell's gate with the session's part played, for tests of it."""

from __future__ import annotations

from collections.abc import Callable

from bastion.gate import effects as do
from bastion.gate import events as ev
from bastion.gate import shell_effects as sd
from bastion.gate import shell_events as sv
from bastion.gate.gate import Circumstances
from bastion.gate.intent import read
from bastion.gate.shell import Shell
from bastion.model import UNRATED, Decision, Request, Target, TtyMode, Verdict
from bastion.model import State as RequestState
from bastion.policy.judge import Judgement

TARGET = Target("web-1", "127.0.0.1", 22, ("deploy",), "production", ("ssh-ed25519 AAAA",), "key:/k")
WHERE = Circumstances(
    identity="agent-7",
    key="SHA256:x",
    session="s-1",
    target=TARGET,
    login="deploy",
    environment=(("PAGER", "cat"),),
    wait=True,
    approvals=1,
    timeout=60,
)
NOW = 1_000_000_000


class Driven:
    """A shell with the session's part played: Describe is answered, effects are kept in order."""

    def __init__(
        self, *, terminal: str = "xterm", verdict: Callable[[Request], Verdict] | None = None, leave: bool = False
    ) -> None:
        self.effects: list[sd.Effect] = []
        self.asked = 0
        self.plain = False
        self.verdict = verdict or (lambda _request: Verdict.HOLD)
        self.shell = Shell(
            WHERE,
            leave_running=leave,
            intent=lambda command: read(command, {}),
            assess=lambda _command, **_more: UNRATED,
            judge=lambda request, _now: Judgement(self.verdict(request), request.digest, "test", "because"),
        )
        self.do(sv.ShellRequested(terminal, 80, 24))
        self.do(sv.DriverReady("/srv", "bash"))

    def do(self, event: sv.Event) -> list[sd.Effect]:
        effects = self.shell.receive(event)
        self.effects += effects
        if effects and any(isinstance(effect, sd.Describe) for effect in effects):
            assert isinstance(effects[-1], sd.Describe)
            self.asked += 1
            effects = effects + self.do(sv.Described(f"r-{self.asked}", f"{self.asked}" * 8, NOW, plain=self.plain))
        return effects

    def type(self, data: bytes | str) -> list[sd.Effect]:
        return self.do(sv.BytesTyped(data.encode() if isinstance(data, str) else data))

    @property
    def held(self) -> Request:
        assert self.shell.held is not None
        return self.shell.held

    def decide(self, state: RequestState = RequestState.APPROVED, mode: TtyMode | None = None) -> list[sd.Effect]:
        request = self.held
        return self.do(ev.Decided(Decision(request.id, request.digest, state, ("ana",), "no", mode), 1.0))

    def decide_and_begin(self) -> list[sd.Effect]:
        """Approve what is held, and begin it."""
        (run,) = [each for each in self.decide() if isinstance(each, sd.RunLine)]
        return self.do(sv.CommandBegan(run.nonce))

    def run(self, line: str, mode: TtyMode | None = None) -> str:
        """Type, approve, begin; returns the nonce."""
        self.type(line + "\r")
        (run,) = [each for each in self.decide(mode=mode) if isinstance(each, sd.RunLine)]
        self.do(sv.CommandBegan(run.nonce))
        return run.nonce

    def of(self, kind: type) -> list[sd.Effect]:
        return [each for each in self.effects if isinstance(each, kind)]

    def requests(self) -> list[tuple[str, bytes]]:
        return [(each.request.kind.value, each.request.command) for each in self.effects if isinstance(each, do.Hold)]


def kinds(effects: list[sd.Effect]) -> list[type]:
    return [type(effect) for effect in effects if not isinstance(effect, sd.Echo)]
