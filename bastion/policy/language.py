"""The policy language, version 1: text to Policy. Pure; what `include` names is handed in by the caller.

Theory of operation. tokens.py and syntax.py give a tree of statements; here each word is looked up in a table that
says where it may stand and what follows it. A block narrows what is inside: `environment`, `target`, `agent` … are
conditions on who asks and where, a block named by a word for what is done (`deploy`, `delete`, `high`) is a condition
on that.
The order of statements has no meaning.

What a section *forbids* by block_paths, block_categories and max_files is forbidden whatever the request calls itself:
otherwise an agent would leave the section by naming its work differently.

Every error is a ConfigError: file, line, column, what was found, what was expected. Unknown words and names that only
make sense together (a group that is nowhere defined) are for lint.py, which must pass before a policy is put in force.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bastion.errors import ConfigError
from bastion.model import IdentityKind, Verdict
from bastion.policy.forwards import NotADestination
from bastion.policy.forwards import parse as parse_destination
from bastion.policy.rules import (
    APPROVALS_MOST,
    CHATS,
    DAY,
    FORWARD_MOST,
    FORWARD_SECONDS,
    TIMEOUT_LEAST,
    TIMEOUT_MOST,
    WHEN_ABSENT,
    Accept,
    Action,
    Approvals,
    BreakGlass,
    Clauses,
    Condition,
    Escalation,
    Field,
    Forward,
    Freeze,
    GrantRule,
    Limit,
    LimitKind,
    Mask,
    Policy,
    Recording,
    Requirement,
    Rule,
    Selector,
    Test,
    Timeout,
    Where,
)
from bastion.policy.syntax import Statement
from bastion.policy.syntax import parse as parse_statements
from bastion.policy.tokens import FILE_LIMIT, Place, Token, shown
from bastion.policy.vocabulary import WITH_TEXT, nearest, vocabulary

VERSION = 1

INCLUDES_LIMIT = 16
"""Files that a policy is made of, itself included."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": DAY}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_GROUP = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)
_PATTERN = re.compile(r"[a-z0-9*](?:[a-z0-9._*-]{0,126}[a-z0-9*])?", re.ASCII)
"""Of identities and targets: what directory.NAME allows, and `*`."""

Include = Callable[[Place, str, str], tuple[str, str]]
"""(place of the statement, the including file, what was written) to (the file's one name, its text).

Raises ConfigError."""


def parse(text: str, name: str = "policy", include: Include | None = None) -> Policy:
    """The policy in `text`, which errors call `name`. Raises ConfigError."""
    return _Reader(include).read(text, name)


@dataclass(frozen=True, slots=True)
class _Around:
    """What the blocks around a statement say."""

    conditions: tuple[Condition, ...] = ()
    sections: tuple[Selector, ...] = ()


@dataclass(slots=True)
class _Cursor:
    """The values of one statement, taken one after the other."""

    statement: Statement
    at: int = 0

    def peek(self) -> Token | None:
        values = self.statement.values
        return values[self.at] if self.at < len(values) else None

    def fail(self, expected: str, hint: str = "") -> ConfigError:
        token = self.peek()
        word = self.statement.word
        if token is None:
            last = self.statement.values[-1] if self.statement.values else None
            place = self.statement.place if last is None else last.place
            length = len(word) if last is None else len(last.raw)
            behind = "`{`" if self.statement.body is not None else "nothing more"
            found = Place(place.file, place.line, place.column + length)
            return found.error(f"found {behind} behind `{word}`; expected {expected}", hint)
        return token.place.error(f"found {shown(token)}; expected {expected}", hint)

    def take(self, kind: str, expected: str) -> str:
        token = self.peek()
        if token is None or token.kind != kind:
            raise self.fail(expected)
        self.at += 1
        return token.text

    def word(self, *words: str) -> bool:
        """Takes one of these words if it comes next."""
        token = self.peek()
        if token is None or token.kind != "WORD" or token.text not in words:
            return False
        self.at += 1
        return True

    def comma(self) -> bool:
        token = self.peek()
        if token is None or token.kind != "COMMA":
            return False
        self.at += 1
        return True

    def end(self, expected: str = "the end of the statement") -> None:
        if self.peek() is not None:
            raise self.fail(expected)


@dataclass(slots=True)
class _Reader:
    include: Include | None
    files: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    groups: dict[str, frozenset[str]] = field(default_factory=dict)
    clauses: dict[str, list[object]] = field(default_factory=lambda: {name: [] for name in Clauses.__slots__})
    tests: list[Test] = field(default_factory=list)
    version: int = 0
    size: int = 0

    def read(self, text: str, name: str) -> Policy:
        tree = self._file(text, name)
        first = tree[0] if tree else None
        if first is None:
            raise Place(name, 1, 1).error("found no policy", 'expected `policy "NAME" {`')
        if first.word != "policy":
            raise first.place.error(f"found `{first.word}`; expected `policy`", 'a file is one `policy "NAME" { … }`')
        cursor = _Cursor(first)
        title = cursor.take("TEXT", "the policy's name in quotes")
        cursor.end("`{`")
        if first.body is None:
            raise cursor.fail("`{`")
        if len(tree) > 1:
            raise tree[1].place.error(f"found `{tree[1].word}` behind the policy; expected the end of the file")
        self._body(first.body, _Around(), top=True)
        if not self.version:
            raise first.place.error("the policy does not say its version", f"expected `version {VERSION}` in it")
        clauses = Clauses(**{name: tuple(each) for name, each in self.clauses.items()})  # type: ignore[arg-type]
        digest, names = _digest(self.files), tuple(self.files)
        return Policy(title, digest, names, self.groups, clauses, tuple(self.tests), self.texts)

    def _file(self, text: str, name: str) -> tuple[Statement, ...]:
        data = text.encode("utf-8", "surrogatepass")
        self.size += len(data)
        if self.size > FILE_LIMIT:
            raise ConfigError(name, f"a policy has at most {FILE_LIMIT} bytes, included files too")
        self.texts[name] = text
        self.files[name] = hashlib.sha256(data).hexdigest()
        return parse_statements(text, name)

    # --- statements -----------------------------------------------------------------------------------------------

    def _body(self, body: Sequence[Statement], around: _Around, *, top: bool = False) -> None:
        for statement in body:
            word = statement.word
            if word in _BLOCKS:
                self._block(statement, around)
            elif statement.body is not None and word not in _WITH_BODY:
                self._section(statement, around)
            elif word in _TOP and not top:
                raise statement.place.error(f"found `{word}` inside a block; expected it directly in the policy")
            elif word in _STATEMENTS:
                _STATEMENTS[word](self, _Cursor(statement), around)
            else:
                known = {*_STATEMENTS, *_BLOCKS}
                if word in vocabulary().tags:
                    raise statement.place.error(
                        f"found `{word}`; expected `allow`, `hold` or `deny` before it, or `{{` behind it"
                    )
                raise statement.place.error(f"found `{word}`; expected a statement", nearest(word, known))

    def _block(self, statement: Statement, around: _Around) -> None:
        """`environment "production" { … }` and the like."""
        cursor, where = _Cursor(statement), _BLOCKS[statement.word]
        patterns = [self._pattern(cursor, where)]
        while cursor.comma():
            patterns.append(self._pattern(cursor, where))
        cursor.end("`,` or `{`")
        if statement.body is None:
            raise cursor.fail("`{`")
        conditions = (*around.conditions, Condition(where, tuple(patterns)))
        if statement.word in _KINDS:
            conditions = (*conditions, Condition(Field.KIND, (statement.word,)))
        self._body(statement.body, _Around(conditions, around.sections))

    def _pattern(self, cursor: _Cursor, where: Field) -> str:
        if where is Field.GROUP:
            return _group(cursor)
        expected = f"{_WHAT[where]} in quotes, `*` for any run of characters"
        token = cursor.peek()
        text = cursor.take("TEXT", expected)
        ok = text.isascii() if where not in (Field.IDENTITY, Field.TARGET) else _PATTERN.fullmatch(text)
        if not ok or not text or token is None:
            cursor.at -= 1
            raise cursor.fail(expected, "names are a-z 0-9 . _ -")
        return text

    def _section(self, statement: Statement, around: _Around) -> None:
        """`deploy { … }`: about what is done."""
        word = statement.word
        if word not in vocabulary().tags:
            raise statement.place.error(
                f"found `{word}` with a block; expected a block of that kind",
                nearest(word, {*vocabulary().tags, *_BLOCKS, *_WITH_BODY}),
            )
        _Cursor(statement).end("`{`")
        assert statement.body is not None  # noqa: S101 -- the caller looked
        self._body(statement.body, _Around(around.conditions, (*around.sections, Selector(word))))

    def _add(self, name: str, clause: object) -> None:
        self.clauses[name].append(clause)

    # --- the policy itself ----------------------------------------------------------------------------------------

    def _version(self, cursor: _Cursor, _: _Around) -> None:
        number = cursor.take("NUMBER", f"{VERSION}, the only version there is")
        if number != str(VERSION):
            cursor.at -= 1
            raise cursor.fail(f"{VERSION}, the only version that this release reads")
        cursor.end()
        self.version = VERSION

    def _include(self, cursor: _Cursor, around: _Around) -> None:
        place = cursor.statement.place
        wanted = cursor.take("TEXT", "a file's name in quotes, relative to this file")
        cursor.end()
        if self.include is None:
            raise place.error("included files cannot be read here")
        name, text = self.include(place, place.file, wanted)
        if name in self.files:
            raise place.error(f'"{wanted}" is included already, or includes itself')
        if len(self.files) >= INCLUDES_LIMIT:
            raise place.error(f"more than {INCLUDES_LIMIT} files")
        self._body(self._file(text, name), around, top=True)

    def _define_group(self, cursor: _Cursor, _: _Around) -> None:
        place = cursor.statement.place
        name = _group(cursor)
        members = [self._pattern(cursor, Field.IDENTITY)]
        while cursor.comma():
            members.append(self._pattern(cursor, Field.IDENTITY))
        cursor.end("`,` or the end of the statement")
        if name in self.groups:
            raise place.error(f"group {name} is defined twice")
        if any("*" in member for member in members):
            raise place.error("a group names its members one by one")
        self.groups[name] = frozenset(members)

    # --- rules ----------------------------------------------------------------------------------------------------

    def _rule(self, cursor: _Cursor, around: _Around) -> None:
        where = _where(cursor, around)
        selectors = _selectors(cursor)
        cursor.end("`,` or the end of the statement")
        self._add("rules", Rule(where, Action(cursor.statement.word), selectors))

    def _block_paths(self, cursor: _Cursor, around: _Around) -> None:
        paths = _texts(cursor, "a path pattern in quotes")
        where = _where(cursor, _Around(around.conditions))
        self._add("rules", Rule(where, Action.DENY, tuple(Selector("path", path) for path in paths)))

    def _block_categories(self, cursor: _Cursor, around: _Around) -> None:
        where = _where(cursor, _Around(around.conditions))
        known = vocabulary().categories
        names = []
        while True:
            token = cursor.peek()
            name = cursor.take("WORD", f"a category: {', '.join(sorted(known))}")
            if name not in known and token is not None:
                raise token.place.error(f"found `{name}`; expected a category", nearest(name, known))
            names.append(Selector(name))
            if not cursor.comma():
                break
        cursor.end("`,` or the end of the statement")
        self._add("rules", Rule(where, Action.DENY, tuple(names)))

    def _require_approval(self, cursor: _Cursor, around: _Around) -> None:
        where = _where(cursor, around)
        if _true_or_false(cursor):
            self._add("rules", Rule(where, Action.HOLD, (Selector("anything"),)))

    def _max_files(self, cursor: _Cursor, around: _Around) -> None:
        most = _number(cursor, 1, 1_000_000)
        cursor.end()
        self._add("limits", Limit(_where(cursor, _Around(around.conditions)), LimitKind.FILES, most, 0))

    def _max_targets(self, cursor: _Cursor, around: _Around) -> None:
        most = _number(cursor, 1, 10_000)
        seconds = _time(cursor, 60, DAY) if cursor.word("per") else DAY
        cursor.end("`per` and a time, or the end of the statement")
        self._add("limits", Limit(_where(cursor, around), LimitKind.TARGETS, most, seconds))

    def _blast_radius(self, cursor: _Cursor, around: _Around) -> None:
        most = 1 if cursor.word("single_host") else 0
        token = cursor.peek()
        if not most and token is not None and token.kind == "NUMBER":
            most = _number(cursor, 1, 10_000)
        if not most:
            raise cursor.fail("`single_host`, or how many targets")
        cursor.end()
        self._add("limits", Limit(_where(cursor, around), LimitKind.TARGETS, most, DAY))

    def _rate(self, cursor: _Cursor, around: _Around) -> None:
        most = _number(cursor, 1, 10_000)
        if not cursor.word("per"):
            raise cursor.fail("`per` and a time")
        seconds = _time(cursor, 1, DAY)
        cursor.end()
        self._add("limits", Limit(_where(cursor, around), LimitKind.REQUESTS, most, seconds))

    # --- approval -------------------------------------------------------------------------------------------------

    def _approvals(self, cursor: _Cursor, around: _Around) -> None:
        count = _number(cursor, 1, APPROVALS_MOST)
        group = _group(cursor) if cursor.word("from") else ""
        selectors = _selectors(cursor) if cursor.word("for") else ()
        cursor.end("`from` and a group, `for` and what is done, or the end of the statement")
        self._add("approvals", Approvals(_where(cursor, around), count, group, selectors))

    def _timeout(self, cursor: _Cursor, around: _Around) -> None:
        where = _where(cursor, around)
        if cursor.word("approve"):
            cursor.end()
            self._add("timeouts", Timeout(where, 0, (), approves=True))
            return
        cursor.word("deny")  # what it does anyway
        seconds = _time(cursor, TIMEOUT_LEAST, TIMEOUT_MOST)
        selectors = _selectors(cursor) if cursor.word("for") else ()
        cursor.end("`for` and what is done, or the end of the statement")
        self._add("timeouts", Timeout(where, seconds, selectors))

    def _accept(self, cursor: _Cursor, around: _Around) -> None:
        chat = next((each for each in CHATS if cursor.word(each)), "")
        if not chat:
            raise cursor.fail(f"one of {', '.join(CHATS)}")
        selectors = _selectors(cursor) if cursor.word("for") else ()
        cursor.end("`for` and what is done, or the end of the statement")
        self._add("accepts", Accept(_where(cursor, around), chat, selectors))

    def _escalate(self, cursor: _Cursor, around: _Around) -> None:
        if cursor.word("when"):
            if not cursor.word("absent"):
                raise cursor.fail("`absent`")
            seconds = WHEN_ABSENT
        elif cursor.word("after"):
            seconds = _time(cursor, 1, TIMEOUT_MOST)
        else:
            raise cursor.fail("`after` and a time, or `when absent`")
        if not cursor.word("to"):
            raise cursor.fail("`to` and a group")
        group = _group(cursor)
        cursor.end()
        self._add("escalations", Escalation(_where(cursor, around), seconds, group))

    def _require(self, cursor: _Cursor, around: _Around) -> None:
        what = next((word for word in ("reason", "rollback", "task") if cursor.word(word)), "")
        if not what:
            raise cursor.fail("`reason`, `rollback` or `task`")
        token = cursor.peek()
        pattern = cursor.take("TEXT", "") if token is not None and token.kind == "TEXT" else "*"
        selectors = _selectors(cursor) if cursor.word("for") else ()
        cursor.end("a pattern in quotes, `for` and what is done, or the end of the statement")
        self._add("requirements", Requirement(_where(cursor, around), what, pattern, selectors))

    # --- access, times --------------------------------------------------------------------------------------------

    def _freeze(self, cursor: _Cursor, around: _Around) -> None:
        where = _where(cursor, around)
        reason = cursor.take("TEXT", "the reason in quotes, which agents are told")
        days: set[int] = set()
        if cursor.word("on"):
            while True:
                token = cursor.peek()
                day = cursor.take("WORD", f"a day: {', '.join(_DAYS)}")
                if day not in _DAYS and token is not None:
                    raise token.place.error(f"found `{day}`; expected a day", f"one of {', '.join(_DAYS)}")
                days.add(_DAYS.index(day))
                if not cursor.comma():
                    break
        if not cursor.word("from"):
            if not days:
                raise cursor.fail("`from` and a time, or `on` and days")
            cursor.end("`,`, `from` or the end of the statement")
            self._add("freezes", Freeze(where, reason, days=frozenset(days)))
            return
        begins, once = _moment(cursor)
        if not cursor.word("to"):
            raise cursor.fail("`to` and a time")
        ends, once_too = _moment(cursor)
        cursor.end()
        if once != once_too or (once and days) or begins == ends or (once and ends < begins):
            raise where.place.error(
                'expected two different times of day ("22:00"), or two moments, the first one first, without days'
            )
        if once:
            self._add("freezes", Freeze(where, reason, begins, ends))
        else:
            self._add("freezes", Freeze(where, reason, days=frozenset(days), minutes=(begins, ends)))

    def _grant(self, cursor: _Cursor, around: _Around) -> None:
        where = _where(cursor, around)
        if not cursor.word("required", "optional"):
            raise cursor.fail("`required` or `optional`")
        required = cursor.statement.values[0].text == "required"
        longest = _time(cursor, 60, 30 * DAY) if cursor.word("for") else 0
        cursor.end("`for` and the longest time, or the end of the statement")
        self._add("grants", GrantRule(where, required, longest))

    def _break_glass(self, cursor: _Cursor, around: _Around) -> None:
        group = _group(cursor)
        cursor.end()
        self._add("break_glass", BreakGlass(_where(cursor, around), group))

    def _forward(self, cursor: _Cursor, around: _Around) -> None:
        if around.sections:
            raise cursor.statement.place.error(
                "found `forward` in a section; expected it outside: it names what is done"
            )
        places = []
        while True:
            text = cursor.take("TEXT", "a destination in quotes: HOST:PORT or [IPv6]:PORT")
            try:
                places.append(parse_destination(text))
            except NotADestination as error:
                cursor.at -= 1
                raise cursor.fail("a destination in quotes: HOST:PORT or [IPv6]:PORT", str(error)) from None
            if not cursor.comma():
                break
        seconds = _time(cursor, 60, FORWARD_MOST) if cursor.word("for") else FORWARD_SECONDS
        cursor.end("`,`, `for` and the longest time, or the end of the statement")
        self._add("forwards", Forward(_where(cursor, around), tuple(places), seconds))

    def _recording(self, cursor: _Cursor, around: _Around) -> None:
        if not cursor.word("required"):
            raise cursor.fail("`required`")
        cursor.end()
        self._add("recordings", Recording(_where(cursor, around)))

    def _mask(self, cursor: _Cursor, around: _Around) -> None:
        if not cursor.word("secrets"):
            raise cursor.fail("`secrets`")
        cursor.end()
        self._add("masks", Mask(_where(cursor, around)))

    # --- tests ----------------------------------------------------------------------------------------------------

    def _test(self, cursor: _Cursor, _: _Around) -> None:
        place = cursor.statement.place
        name = cursor.take("TEXT", "what is tested, in quotes")
        cursor.end("`{`")
        if cursor.statement.body is None:
            raise cursor.fail("`{`")
        facts: dict[str, tuple[str, ...]] = {}
        verdict: Verdict | None = None
        approvals = 0
        for statement in cursor.statement.body:
            line = _Cursor(statement)
            if statement.body is not None:
                raise statement.place.error(f"found a block behind `{statement.word}`; expected facts and `expect`")
            if statement.word == "expect":
                word = line.take("WORD", "`allow`, `hold` or `deny`")
                if word not in Verdict.__members__.values():
                    line.at -= 1
                    raise line.fail("`allow`, `hold` or `deny`")
                verdict = Verdict(word)
                approvals = _number(line, 1, APPROVALS_MOST) if line.word("approvals") else 0
                line.end("`approvals` and how many, or the end of the statement")
            elif statement.word in TEST_FACTS:
                facts[statement.word] = _mixed(line)
            else:
                raise statement.place.error(
                    f"found `{statement.word}`; expected a fact or `expect`", nearest(statement.word, TEST_FACTS)
                )
        if verdict is None:
            raise place.error("the test does not say what it expects", "expected `expect allow`, `hold` or `deny`")
        self.tests.append(Test(name, facts, verdict, approvals, place))


TEST_FACTS = frozenset(
    {"agent", "ci", "human", "service", "identity", "target", "environment", "login", "command", "verbs", "tier"}
    | {"paths", "hosts", "files", "categories", "activity", "task", "reason", "rollback", "irreversible"}
)
"""What a test may say of its action, beside `expect`; also the keys of an action for `policy check`."""

_KINDS = frozenset(kind.value for kind in IdentityKind)
_BLOCKS: Mapping[str, Field] = {
    "environment": Field.ENVIRONMENT,
    "target": Field.TARGET,
    "identity": Field.IDENTITY,
    **dict.fromkeys(_KINDS, Field.IDENTITY),
    "members": Field.GROUP,
    "login": Field.LOGIN,
    "task": Field.TASK,
}
_WHAT = {
    Field.ENVIRONMENT: "an environment's label",
    Field.TARGET: "a target's name",
    Field.IDENTITY: "an identity's name",
    Field.LOGIN: "an account's name",
    Field.TASK: "a task",
}
_TOP = frozenset(("version", "include", "group", "test"))
_WITH_BODY = frozenset(("test",))
_STATEMENTS: Mapping[str, Callable[[_Reader, _Cursor, _Around], None]] = {
    "version": _Reader._version,
    "include": _Reader._include,
    "group": _Reader._define_group,
    **dict.fromkeys(("allow", "hold", "deny", "never"), _Reader._rule),
    "block_paths": _Reader._block_paths,
    "block_categories": _Reader._block_categories,
    "require_approval": _Reader._require_approval,
    "max_files": _Reader._max_files,
    "max_targets": _Reader._max_targets,
    "blast_radius": _Reader._blast_radius,
    "rate": _Reader._rate,
    "approvals": _Reader._approvals,
    "timeout": _Reader._timeout,
    "accept": _Reader._accept,
    "escalate": _Reader._escalate,
    "require": _Reader._require,
    "freeze": _Reader._freeze,
    "grant": _Reader._grant,
    "break_glass": _Reader._break_glass,
    "recording": _Reader._recording,
    "mask": _Reader._mask,
    "forward": _Reader._forward,
    "test": _Reader._test,
}


def _where(cursor: _Cursor, around: _Around) -> Where:
    return Where(around.conditions, around.sections, cursor.statement.place, cursor.statement.text())


def _selectors(cursor: _Cursor) -> tuple[Selector, ...]:
    """`restart, deploy`, `command "git pull", "git status **"`, `*`."""
    found: list[Selector] = []
    word = ""
    while True:
        token = cursor.peek()
        if token is not None and token.kind == "STAR":
            cursor.at += 1
            found.append(Selector("anything"))
        elif token is not None and token.kind == "TEXT" and word:
            found.append(Selector(word, _selected(cursor, word)))
        else:
            if token is None or token.kind != "WORD":
                raise cursor.fail("a word for what is done, such as `restart`, `low` or `writes`")
            if token.text not in vocabulary().tags | WITH_TEXT:
                raise cursor.fail("a word for what is done", nearest(token.text, vocabulary().tags | WITH_TEXT))
            cursor.at += 1
            behind = cursor.peek()
            word = ""
            if behind is not None and behind.kind == "TEXT":
                if token.text not in WITH_TEXT:
                    raise cursor.fail(f"`,` or the end of the statement: `{token.text}` takes no text")
                word = token.text
                found.append(Selector(word, _selected(cursor, word)))
            elif token.text not in vocabulary().tags:
                raise cursor.fail(f"a text in quotes behind `{token.text}`")
            else:
                found.append(Selector(token.text))
        if not cursor.comma():
            return tuple(found)


def _selected(cursor: _Cursor, word: str) -> str:
    text = cursor.take("TEXT", "a text in quotes")
    cursor.at -= 1
    if not text.strip() or not text.isascii():
        raise cursor.fail("a pattern of ASCII characters", "`*` stands for others")
    if word == "command" and any(mark in text for mark in ";|&<>()`$\"'\\"):
        raise cursor.fail("the words of one command, without quotes or operators", "`*` stands for any text in a word")
    cursor.at += 1
    return text


def _texts(cursor: _Cursor, expected: str) -> list[str]:
    texts: list[str] = []
    while True:
        cursor.take("TEXT", expected)
        cursor.at -= 1
        texts.append(_selected(cursor, "path"))
        if not cursor.comma():
            cursor.end("`,` or the end of the statement")
            return texts


def _mixed(cursor: _Cursor) -> tuple[str, ...]:
    """Words, texts and numbers with commas between them."""
    found: list[str] = []
    while True:
        token = cursor.peek()
        if token is None or token.kind not in ("WORD", "TEXT", "NUMBER"):
            raise cursor.fail("a word, a text in quotes or a number")
        cursor.at += 1
        found.append(token.text)
        if not cursor.comma():
            cursor.end("`,` or the end of the statement")
            return tuple(found)


def _group(cursor: _Cursor) -> str:
    token = cursor.peek()
    if token is None or token.kind not in ("WORD", "TEXT") or not _GROUP.fullmatch(token.text):
        raise cursor.fail("a group's name: a-z 0-9 . _ -")
    cursor.at += 1
    return token.text


def _number(cursor: _Cursor, least: int, most: int) -> int:
    expected = f"a whole number from {least} to {most}"
    text = cursor.take("NUMBER", expected)
    if len(text) > 9 or not least <= int(text) <= most:
        cursor.at -= 1
        raise cursor.fail(expected)
    return int(text)


def _time(cursor: _Cursor, least: int, most: int) -> int:
    expected = f"a time from {_span(least)} to {_span(most)}"
    text = cursor.take("TIME", expected)
    if len(text) > 9 or not least <= int(text[:-1]) * _UNITS[text[-1]] <= most:
        cursor.at -= 1
        raise cursor.fail(expected)
    return int(text[:-1]) * _UNITS[text[-1]]


def _span(seconds: int) -> str:
    unit, size = next((unit, size) for unit, size in reversed(_UNITS.items()) if seconds % size == 0)
    return f"{seconds // size}{unit}"


def _true_or_false(cursor: _Cursor) -> bool:
    value = cursor.word("true")
    if not value and not cursor.word("false"):
        raise cursor.fail("`true` or `false`")
    cursor.end()
    return value


def _moment(cursor: _Cursor) -> tuple[int, bool]:
    """Minutes of a day, or microseconds since the epoch and True. UTC."""
    expected = 'a time of day such as "22:00" or a moment such as "2026-12-24 18:00", UTC'
    text = cursor.take("TEXT", expected)
    if match := re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00", text, re.ASCII):
        return (1440 if match[1] is None else int(match[1]) * 60 + int(match[2])), False
    for form in ("%Y-%m-%d %H:%M", "%Y-%m-%d"):
        try:
            return int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()) * 1_000_000, True
        except ValueError:
            continue
    cursor.at -= 1
    raise cursor.fail(expected)


def _digest(files: Mapping[str, str]) -> str:
    """Of one file, its own: what sha256sum prints. Of several, that of the lines that sha256sum prints for them."""
    if len(files) == 1:
        return next(iter(files.values()))
    lines = sorted(f"{digest}  {name}\n" for name, digest in files.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()
