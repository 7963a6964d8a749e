"""The verdict on one request: ALLOW, HOLD or DENY, and on what terms. Pure.

Theory of operation. The steps stand in this order, and the first that speaks decides:

    limits of what can be run at all
    never
    deny                             break_glass lifts it
    freeze, of the policy            break_glass lifts it; reads go on
    freeze, set by a person          break_glass lifts it; refuses, or holds everything
    grant required and missing       break_glass lifts it
    a forward that no clause names   else a forward is always held: what goes through it is not seen
    something that must be said and was not; too many requests, targets or files
    whitelist                        an exact command that an approver remembered; nothing of high risk
    hold                             break_glass lifts it
    allow                            all that it does must be covered, and nothing of high risk is
    hold                             what the login shell there may read otherwise (policy/dialects.py)
    hold                             whatever nobody spoke of

So deny beats hold beats allow, wherever they stand in the file. Nothing falls through to ALLOW: it takes an entry of
the whitelist that names these very bytes, or rules that cover all that the command does. A rule covers it when the risk
classifier could name everything: what is unrated, opaque or of high risk is held, whatever a rule says.

Where several clauses say how many approve, the highest number counts, and who approves must be in every group that one
of them names. Of several timeouts the shortest counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bastion.directory import Directory
from bastion.model import COMMAND_LIMIT, EffectKind, IdentityKind, Request, RequestKind, Tier, Verdict
from bastion.policy import ansible_lines, dialects, globs, tools
from bastion.policy.admission import Obstacle, obstacle
from bastion.policy.aside import changes_directory
from bastion.policy.forwards import Destination, NotADestination, read
from bastion.policy.question import Question
from bastion.policy.rules import Action, Approvals, Clauses, Forward, LimitKind, Policy, Rule, Selector, Where, on_task
from bastion.policy.selecting import covered, may_select, selects
from bastion.policy.whitelist import find

NO_POLICY = "everything is held that is not whitelisted"
NO_RULE = "no rule of the policy allows it"
NO_GLASS = "the policy lets nobody here break the glass"

Said = tuple[str, str]
"""The rule that decided, and a sentence."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """After so many seconds the members of a group may decide, too."""

    seconds: int
    group: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What policy says of one request, why, and on what terms."""

    verdict: Verdict
    digest: str
    """Of the request as `settle` makes it: a verdict is good for nothing else. Empty for an action without one."""
    rule: str
    """What decided: `default`, `whitelist w-…`, `freeze f-…`, `grant`, `limit`, `bytes`, `tool`, `shell`,
    `break_glass`, or a statement of the policy, `policy FILE:LINE: STATEMENT`."""
    reason: str
    """One sentence; with DENY the agent gets it."""
    approvals: int = 1
    """Distinct humans, with HOLD."""
    approvers: tuple[str, ...] = ()
    """Groups: who approves is in all of them. Empty: any approver."""
    timeout: int = 60
    """Seconds that it is held at most."""
    escalation: tuple[Escalation, ...] = ()
    """In the order of time."""
    unsigned: tuple[str, ...] = ()
    """Chats (rules.CHATS) whose buttons count. Never for high risk, or what nobody rated."""
    recording: bool = False
    """It runs only while it is recorded."""
    emergency: bool = False
    """The glass was broken: somebody must be alerted, and look at it afterwards."""
    policy: str = ""
    """SHA-256 of the policy; empty without a policy file."""

    judged: tuple[Request, Mapping[str, Any], Request] | None = field(default=None, compare=False, repr=False)
    """What `judge` was asked of, on which terms, and what it is on them, so that `settle` need not make it again."""

    def of(self, digest: str, judged: tuple[Request, Mapping[str, Any], Request]) -> Judgement:
        """It, of that request. As dataclasses.replace, which looks at every field twice."""
        return Judgement(
            self.verdict, digest, self.rule, self.reason, self.approvals, self.approvers, self.timeout,
            self.escalation, self.unsigned, self.recording, self.emergency, self.policy, judged,
        )  # fmt: skip

    def settle(self, request: Request) -> Request:
        """The request on these terms. Raises ValueError for another request than the one that was judged."""
        settled = None
        if self.judged is not None and self.judged[0] is request and _terms_of(self, request) == self.judged[1]:
            settled = self.judged[2]
        settled = settled or _settled(request, self)
        if settled.digest != self.digest:
            raise ValueError("the judgement is of another request")
        return settled


def judge(question: Question, policy: Policy, directory: Directory | None, now: int) -> Judgement:
    """The verdict at `now` (microseconds since the epoch, never going back). Without a directory nothing is on the
    whitelist."""
    said = _verdict(question, policy, directory, now)
    if question.request is None:
        return said
    terms = _terms_of(said, question.request)
    settled = question.request.on_terms(**terms)
    return said.of(settled.digest, (question.request, terms, settled))


def restate(said: Judgement, request: Request, **terms: Any) -> Judgement:
    """The judgement of `request` on other terms, such as more approvals than policy asks for."""
    changed = replace(said, **terms)
    return replace(changed, digest=_settled(request, changed).digest)


def overruled(question: Question, policy: Policy, directory: Directory, now: int) -> str:
    """Why what was approved shall not start any more; empty while it may. Policy, freezes and grants can have changed
    since it was held, and what they forbid no approval lifts. Counted limits are not asked again: it was counted."""
    clauses = policy.concerning(question.subject)
    rules = [rule for rule in clauses.rules if not rule.where.asks or _holds(rule.where, question)]
    blocked = _obstacle(question, directory, now)
    refusal = (
        _forbidden(question, rules, Action.NEVER, "policy never lets this run")
        or _forbidden(question, rules, Action.DENY, "policy denies it")
        or _frozen(question, clauses, now)
        or (blocked is not None and blocked.verdict is Verdict.DENY and (blocked.rule, blocked.reason))
        or _grant_missing(question, clauses, directory, now)
        or _unnamed(question, clauses)
    )
    return refusal[1] if refusal else ""


def _settled(request: Request, said: Judgement) -> Request:
    return request.on_terms(**_terms_of(said, request))


def _terms_of(said: Judgement, request: Request) -> dict[str, Any]:
    return {
        "approvals": said.approvals,
        "expires": request.created + said.timeout * 1_000_000,
        "rule": said.rule,
        "approvers": said.approvers,
        "escalation": tuple((each.seconds, each.group) for each in said.escalation),
        "unsigned": said.unsigned,
    }


def _verdict(question: Question, policy: Policy, directory: Directory | None, now: int) -> Judgement:
    clauses = policy.concerning(question.subject)
    rules = [rule for rule in clauses.rules if not rule.where.asks or _holds(rule.where, question)]
    glass = _broken_glass(question, policy, clauses)
    terms = _terms(question, policy, clauses)
    blocked = _obstacle(question, directory, now)
    refusal = (
        _impossible(question)
        or (("break_glass", NO_GLASS) if question.emergency and glass is None else None)
        or _forbidden(question, rules, Action.NEVER, "policy never lets this run")
        or (glass is None and _forbidden(question, rules, Action.DENY, "policy denies it"))
        or (glass is None and _frozen(question, clauses, now))
        or (
            glass is None and blocked is not None and blocked.verdict is Verdict.DENY and (blocked.rule, blocked.reason)
        )
        or (glass is None and _grant_missing(question, clauses, directory, now))
        or _unnamed(question, clauses)
        or _short_of(question, clauses, now)
    )
    if refusal:
        return replace(terms, verdict=Verdict.DENY, rule=refusal[0], reason=refusal[1])
    if glass is not None:
        reason = f"emergency: {question.emergency}"
        return replace(terms, verdict=Verdict.ALLOW, rule=glass.name, reason=reason, emergency=True)
    if blocked is not None:
        return replace(terms, rule=blocked.rule, reason=blocked.reason)
    allowed = _whitelisted(question, directory, now)
    held = None if allowed else _held(question, rules)
    if allowed is None and held is None and (allowed := _allowed(question, rules)):
        held = _doubtful(question, rules)
    if allowed is not None and held is None:
        held = _misread(question)
    if allowed is not None and held is None:
        return replace(terms, verdict=Verdict.ALLOW, rule=allowed[0], reason=allowed[1])
    rule, reason = held or ("default", NO_RULE if policy.digest else NO_POLICY)
    return replace(terms, rule=rule, reason=reason)


def masked(question: Question, policy: Policy) -> bool:
    """Whether what it prints goes to the agent with secrets overwritten."""
    return any(_holds(each.where, question) for each in policy.concerning(question.subject).masks)


def _holds(where: Where, question: Question) -> bool:
    """Its sections and its conditions on the task; those on who and where were looked at before."""
    if not where.asks:
        return True
    for section in where.sections:
        if not selects(section, question):
            return False
    return on_task(where, question.task)


# --- the steps --------------------------------------------------------------------------------------------------------


def _impossible(question: Question) -> Said | None:
    command = question.command
    if command is None or question.kind in (RequestKind.GRANT, RequestKind.FORWARD):
        return None
    if len(command) > COMMAND_LIMIT:
        return "limit", f"a command has at most {COMMAND_LIMIT:,} bytes, this one {len(command):,}"
    if not command.strip() and question.kind is not RequestKind.STDIN:
        return "bytes", "the command is empty"
    if b"\0" in command:
        # sshd reads the command as a C string and drops the connection on a NUL (RFC 4254 section 6.5 allows it).
        return "bytes", "a command with a NUL byte cannot be handed to a shell"
    if question.request is not None and ansible_lines.below_task(question.request.script):
        frame = ansible_lines.of_command(command)
        if frame is None or frame.script != question.request.script:  # it could be changed after it was compared
            return "tool", "what lies in a directory of Ansible's runs only by the line that Ansible writes"
    stdin = question.request.stdin_code if question.request is not None else b""
    if tools.may_be(command, stdin) and (why := tools.refusal(question.heads, _words(question), stdin)):
        return "tool", why
    return None


def _words(question: Question) -> list[list[str]]:
    return [[word.text for word in words] for words in question.readings]


def _forbidden(question: Question, rules: list[Rule], action: Action, words: str) -> Said | None:
    for rule in rules:
        if rule.action is action and (hit := _hit(question, rule.selectors)):
            return rule.where.name, f"{words}: {hit}"
    return None


def _obstacle(question: Question, directory: Directory | None, now: int) -> Obstacle | None:
    """What people set for now: a freeze, and environments that take a grant."""
    if directory is None:
        return None
    return obstacle(directory, question.kind, question.identity, question.target, now)


def _frozen(question: Question, clauses: Clauses, now: int) -> Said | None:
    if question.assessment.tier is Tier.LOW:
        return None
    for freeze in clauses.freezes:
        if freeze.holds(now) and _holds(freeze.where, question):
            return freeze.where.name, f"frozen, only reads run: {freeze.reason}"
    return None


def _held(question: Question, rules: list[Rule]) -> Said | None:
    return _forbidden(question, rules, Action.HOLD, "policy wants a person to decide")


def _allowed(question: Question, rules: list[Rule]) -> Said | None:
    rule = covered(question, [rule for rule in rules if rule.action is Action.ALLOW])
    return None if rule is None else (rule.where.name, "a rule of the policy allows it")


def _misread(question: Question) -> Said | None:
    """The shell that reads it on the target may read it otherwise than was done here."""
    match question.kind:
        case RequestKind.EXEC:
            sure = question.command is None or dialects.alike(question.command, question.shell)
        case RequestKind.LINE:
            cwd = question.request.cwd if question.request is not None else ""
            line = question.command or b""  # `cd` runs in the governed shell, which is one of POSIX
            sure = changes_directory(line) or dialects.beside(line, cwd, question.shell)
        case _:
            sure = True
    return None if sure else ("shell", dialects.doubt(question.shell))


def _doubtful(question: Question, rules: list[Rule]) -> Said | None:
    """A rule that forbids something which this could turn out to be."""
    for rule in rules:
        if rule.action in (Action.DENY, Action.NEVER) and any(may_select(each, question) for each in rule.selectors):
            return rule.where.name, _doubt(question)
    return None


def _doubt(question: Question) -> str:
    if question.certain and not question.gaps("path"):
        walks = "it goes down into directories, and could meet what this forbids"
        return walks if question.walked else "it names what this forbids, and what it does with that is not known"
    return "part of it is known only when it runs, and could be what this forbids"


def _hit(question: Question, selectors: Iterable[Selector]) -> Selector | None:
    for selector in selectors:
        if selects(selector, question):
            return selector
    return None


def _grant_missing(question: Question, clauses: Clauses, directory: Directory | None, now: int) -> Said | None:
    """Where a clause requires a grant, and none says that it is optional, there must be one in force."""
    rules = [rule for rule in clauses.grants if _holds(rule.where, question)]
    needed = next((rule for rule in rules if rule.required), None)
    if needed is None or any(not rule.required for rule in rules) or question.kind is RequestKind.GRANT:
        return None
    if directory is not None and directory.grant(question.identity, question.target, now) is not None:
        return None
    line = f"ssh bastion@bastion request-access {question.target} --for 30m --reason '...'"
    return needed.where.name, f"access to {question.target} takes a grant; ask: {line}"


def named(clauses: Clauses, destination: Destination) -> Forward | None:
    """The clause that names this destination, and lets it last longest; None if none does."""
    found = [each for each in clauses.forwards if destination in each.destinations and on_task(each.where, "")]
    return max(found, key=lambda each: each.seconds, default=None)


def _unnamed(question: Question, clauses: Clauses) -> Said | None:
    """A forward leads where policy names its destination, for at most as long, and nowhere else."""
    if question.kind is not RequestKind.FORWARD:
        return None
    try:
        destination, seconds = read(question.command or b"")
    except NotADestination as error:
        return "forward", str(error)
    clause = named(clauses, destination)
    if clause is None:
        return "forward", f"no rule of the policy names {destination} as the destination of a forward"
    if seconds > clause.seconds:
        return clause.where.name, f"a forward to {destination} lasts {clause.seconds} s at most"
    return None


def _short_of(question: Question, clauses: Clauses, now: int) -> Said | None:
    """Something that must be said was not, or there is too much of something."""
    for wanted in clauses.requirements:
        if not _holds(wanted.where, question) or (wanted.selectors and not _hit(question, wanted.selectors)):
            continue
        value = str(getattr(question, wanted.what)).strip()
        if not value or not globs.text(wanted.pattern, value):
            like = "" if wanted.pattern == "*" else f" like {wanted.pattern}"
            variable = f"BASTION_{wanted.what.upper()}"
            return (
                wanted.where.name,
                f"policy requires a {wanted.what}{like}: say it in {variable}, or `# {wanted.what}: ...`",
            )
    for limit in clauses.limits:
        if not _holds(limit.where, question):
            continue
        since = now - limit.seconds * 1_000_000
        match limit.kind:
            case LimitKind.FILES:
                files = max(question.files, len(set(question.paths)), _files_changed(question))
                if files > limit.most:
                    return limit.where.name, f"{files} files, and policy lets {limit.most} be touched at once"
            case LimitKind.TARGETS:
                reached = question.usage.targets(question.identity, since) | {question.target}
                if len(reached) > limit.most:
                    return limit.where.name, f"{question.target} would be target number {len(reached)} of {limit.most}"
            case LimitKind.REQUESTS:
                if question.usage.requests(question.identity, since) >= limit.most:
                    return limit.where.name, f"more than {limit.most} requests in {limit.seconds} s: wait"
    return None


def _files_changed(question: Question) -> int:
    if question.kind is RequestKind.TRANSFER:
        return 0  # it says how many there are, and names each by more than one path
    kinds = (EffectKind.WRITES, EffectKind.DELETES)
    return len({effect.what for effect in question.assessment.effects if effect.kind in kinds and effect.what})


def _broken_glass(question: Question, policy: Policy, clauses: Clauses) -> Where | None:
    """The clause that lets this human break the glass; None if nobody does, or may."""
    if not question.emergency.strip() or question.identity_kind is not IdentityKind.HUMAN:
        return None
    for each in clauses.break_glass:
        if question.identity in policy.groups.get(each.group, ()) and _holds(each.where, question):
            return each.where
    return None


def _whitelisted(question: Question, directory: Directory | None, now: int) -> Said | None:
    if question.request is None or directory is None:
        return None
    known = find(directory, question.request, now)
    return None if known is None else (f"whitelist {known.id}", f"whitelisted by {known.by}")


# --- the terms --------------------------------------------------------------------------------------------------------


def _terms(question: Question, policy: Policy, clauses: Clauses) -> Judgement:
    """Approvals, timeout and the like, whatever the verdict will be."""

    def speaks(where: Where, selectors: tuple[Selector, ...]) -> bool:
        return _holds(where, question) and (not selectors or _hit(question, selectors) is not None)

    asked: list[Approvals] = [each for each in clauses.approvals if speaks(each.where, each.selectors)]
    timeouts = [each.seconds for each in clauses.timeouts if not each.approves and speaks(each.where, each.selectors)]
    timeout = min(timeouts, default=policy.default_timeout)
    later = {Escalation(each.seconds, each.group) for each in clauses.escalations if _holds(each.where, question)}
    return Judgement(
        Verdict.HOLD,
        "",
        "default",
        "",
        approvals=max((each.count for each in asked), default=policy.default_approvals),
        approvers=tuple(sorted({each.group for each in asked if each.group})),
        timeout=timeout,
        escalation=tuple(sorted((each for each in later if each.seconds < timeout), key=lambda each: each.seconds)),
        unsigned=tuple(
            sorted({each.chat for each in clauses.accepts if speaks(each.where, each.selectors)})
            if question.assessment.tier in (Tier.LOW, Tier.MEDIUM)
            else ()
        ),
        recording=any(_holds(each.where, question) for each in clauses.recordings),
        policy=policy.digest,
    )
