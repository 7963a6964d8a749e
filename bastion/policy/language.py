"""The policy language, version 1: text to Policy. Pure; what `include` names is handed in by the caller.

Theory of operation. tokens.py and syntax.py give a tree of statements; here each word is looked up in a table that
says where it may stand and what follows it (clauses.py; cursor.py takes the values). A block narrows what is inside:
`environment`, `target`, `agent` … are conditions on who asks and where, a block named by a word for what is done
(`deploy`, `delete`, `high`) is a condition on that.
The order of statements has no meaning.

Every error is a ConfigError: file, line, column, what was found, what was expected. Unknown words and names that only
make sense together (a group that is nowhere defined) are for lint.py, which must pass before a policy is put in force.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bastion.errors import ConfigError
from bastion.model import IdentityKind, Verdict
from bastion.policy.clauses import SLOTS, STATEMENTS, Clause
from bastion.policy.cursor import Around, Cursor, group_name, mixed, number, pattern
from bastion.policy.rules import APPROVALS_MOST, Clauses, Condition, Field, Policy, Selector, Test
from bastion.policy.syntax import Statement
from bastion.policy.syntax import parse as parse_statements
from bastion.policy.tokens import FILE_LIMIT, Place
from bastion.policy.vocabulary import nearest, vocabulary

VERSION = 1

INCLUDES_LIMIT = 16
"""Files that a policy is made of, itself included."""

Include = Callable[[Place, str, str], tuple[str, str]]
"""(place of the statement, the including file, what was written) to (the file's one name, its text).

Raises ConfigError."""


def parse(text: str, name: str = "policy", include: Include | None = None) -> Policy:
    """The policy in `text`, which errors call `name`. Raises ConfigError."""
    return _Reader(include).read(text, name)


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
        cursor = Cursor(first)
        title = cursor.take("TEXT", "the policy's name in quotes")
        cursor.end("`{`")
        if first.body is None:
            raise cursor.fail("`{`")
        if len(tree) > 1:
            raise tree[1].place.error(f"found `{tree[1].word}` behind the policy; expected the end of the file")
        self._body(first.body, Around(), top=True)
        if not self.version:
            raise first.place.error("the policy does not say its version", f"expected `version {VERSION}` in it")
        clauses = Clauses(**{name: tuple(each) for name, each in self.clauses.items()})  # type: ignore[arg-type]  # filed by SLOTS
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

    def _body(self, body: Sequence[Statement], around: Around, *, top: bool = False) -> None:
        for statement in body:
            word = statement.word
            if word in _BLOCKS:
                self._block(statement, around)
            elif statement.body is not None and word not in _WITH_BODY:
                self._section(statement, around)
            elif word in _TOP and not top:
                raise statement.place.error(f"found `{word}` inside a block; expected it directly in the policy")
            elif word in _OWN:
                _OWN[word](self, Cursor(statement), around)
            elif word in STATEMENTS:
                self._add(STATEMENTS[word](Cursor(statement), around))
            else:
                known = {*STATEMENTS, *_OWN, *_BLOCKS}
                if word in vocabulary().tags:
                    raise statement.place.error(
                        f"found `{word}`; expected `allow`, `hold` or `deny` before it, or `{{` behind it"
                    )
                raise statement.place.error(f"found `{word}`; expected a statement", nearest(word, known))

    def _block(self, statement: Statement, around: Around) -> None:
        """`environment "production" { … }` and the like."""
        cursor, where = Cursor(statement), _BLOCKS[statement.word]
        patterns = [pattern(cursor, where)]
        while cursor.comma():
            patterns.append(pattern(cursor, where))
        cursor.end("`,` or `{`")
        if statement.body is None:
            raise cursor.fail("`{`")
        conditions = (*around.conditions, Condition(where, tuple(patterns)))
        if statement.word in _KINDS:
            conditions = (*conditions, Condition(Field.KIND, (statement.word,)))
        self._body(statement.body, Around(conditions, around.sections))

    def _section(self, statement: Statement, around: Around) -> None:
        """`deploy { … }`: about what is done."""
        word = statement.word
        if word not in vocabulary().tags:
            raise statement.place.error(
                f"found `{word}` with a block; expected a block of that kind",
                nearest(word, {*vocabulary().tags, *_BLOCKS, *_WITH_BODY}),
            )
        Cursor(statement).end("`{`")
        assert statement.body is not None  # noqa: S101 -- the caller looked
        self._body(statement.body, Around(around.conditions, (*around.sections, Selector(word))))

    def _add(self, clause: Clause | None) -> None:
        if clause is not None:
            self.clauses[SLOTS[type(clause)]].append(clause)

    # --- the policy itself ----------------------------------------------------------------------------------------

    def _version(self, cursor: Cursor, _: Around) -> None:
        number = cursor.take("NUMBER", f"{VERSION}, the only version there is")
        if number != str(VERSION):
            cursor.at -= 1
            raise cursor.fail(f"{VERSION}, the only version that this release reads")
        cursor.end()
        self.version = VERSION

    def _include(self, cursor: Cursor, around: Around) -> None:
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

    def _define_group(self, cursor: Cursor, _: Around) -> None:
        place = cursor.statement.place
        name = group_name(cursor)
        members = [pattern(cursor, Field.IDENTITY)]
        while cursor.comma():
            members.append(pattern(cursor, Field.IDENTITY))
        cursor.end("`,` or the end of the statement")
        if name in self.groups:
            raise place.error(f"group {name} is defined twice")
        if any("*" in member for member in members):
            raise place.error("a group names its members one by one")
        self.groups[name] = frozenset(members)

    # --- tests ----------------------------------------------------------------------------------------------------

    def _test(self, cursor: Cursor, _: Around) -> None:
        place = cursor.statement.place
        name = cursor.take("TEXT", "what is tested, in quotes")
        cursor.end("`{`")
        if cursor.statement.body is None:
            raise cursor.fail("`{`")
        facts: dict[str, tuple[str, ...]] = {}
        verdict: Verdict | None = None
        approvals = 0
        for statement in cursor.statement.body:
            line = Cursor(statement)
            if statement.body is not None:
                raise statement.place.error(f"found a block behind `{statement.word}`; expected facts and `expect`")
            if statement.word == "expect":
                word = line.take("WORD", "`allow`, `hold` or `deny`")
                if word not in Verdict.__members__.values():
                    line.at -= 1
                    raise line.fail("`allow`, `hold` or `deny`")
                verdict = Verdict(word)
                approvals = number(line, 1, APPROVALS_MOST) if line.word("approvals") else 0
                line.end("`approvals` and how many, or the end of the statement")
            elif statement.word in TEST_FACTS:
                facts[statement.word] = mixed(line)
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
_TOP = frozenset(("version", "include", "group", "test"))
_WITH_BODY = frozenset(("test",))
_OWN: Mapping[str, Callable[[_Reader, Cursor, Around], None]] = {
    "version": _Reader._version,
    "include": _Reader._include,
    "group": _Reader._define_group,
    "test": _Reader._test,
}


def _digest(files: Mapping[str, str]) -> str:
    """Of one file, its own: what sha256sum prints. Of several, that of the lines that sha256sum prints for them."""
    if len(files) == 1:
        return next(iter(files.values()))
    lines = sorted(f"{digest}  {name}\n" for name, digest in files.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()
