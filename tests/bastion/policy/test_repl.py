"""To name a language for a line that something else reads is the error that matters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.policy.repl import PROGRAMS, Language, Repl, repl_of

KNOWN = {
    "psql": Language.PSQL,
    "psql -U postgres -h db shop": Language.PSQL,
    "psql --host=db --port 5432": Language.PSQL,
    "psql -Upostgres": Language.PSQL,
    "/usr/bin/psql": Language.PSQL,
    "PGHOST=db LC_ALL=C psql": Language.PSQL,
    "sudo -u postgres psql shop": Language.PSQL,
    "sudo -n nohup psql": Language.PSQL,
    "cd /srv && psql shop; echo done": Language.PSQL,
    "psql | grep x | tee log": Language.PSQL,
    "docker exec -it db psql -U a": Language.PSQL,
    "kubectl exec -n shop -it pod-1 -- psql": Language.PSQL,
    "mysql -uroot -psecret shop": Language.MYSQL,
    "mariadb": Language.MYSQL,
    "sqlite3 -readonly /tmp/x.db": Language.SQLITE,
    "python3": Language.PYTHON,
    "python3 -q -i": Language.PYTHON,
    "node": Language.NODE,
    "irb -f": Language.RUBY,
    "php -a": Language.PHP,
    "mongosh --quiet mongodb://db/shop": Language.MONGOSH,
    "redis-cli -h cache -p 6379": Language.REDIS,
    "bc -l": Language.BC,
    "bash": Language.BASH,
    "sudo -i": Language.BASH,
    "sudo -u deploy -s": Language.BASH,
    "su -": Language.BASH,
    "docker exec -it web sh": Language.BASH,
}

UNSURE = [
    "",
    "true",
    "vim x",
    # reads nothing from the terminal, or something else first
    "psql -c 'select 1'",
    "psql -f x.sql",
    "psql < x.sql",
    "psql <<< 'select 1;'",
    "psql 0< x",
    "cat x | psql",
    "sh -c 'psql'",
    "sqlite3 x.db 'select 1'",
    "python3 x.py",
    "python3 -m http.server",
    "python3 -c 'import code'",
    "python3 -",
    "php",
    "php x.php",
    "redis-cli get x",
    "mongosh x.js",
    "bash x.sh",
    "bash -c ls",
    # two that read
    "psql; python3",
    "psql; cat > f",
    "export PATH=/tmp; psql",
    "tee f; psql",
    "less x; psql",
    "psql | less",
    "psql | sh",
    "vim x && psql",
    "psql $(sh)",
    "X=$(sh) psql",
    "psql > $(sh)",
    "while true; do psql; done",
    "(psql)",
    "psql() { sh; }; psql",
    # told otherwise, by what is not in the tables
    "psql -S",
    "psql -v x=y",
    "psql --unknown",
    "psql a b c",
    "psql *",
    "psql $OPTIONS",
    'psql "$OPTIONS"',
    "sqlite3 -cmd '.shell sh' x.db",
    "python3 -i x.py",
    "mysql --delimiter=//",
    "$PROGRAM",
    "./psql",
    "/tmp/psql",
    "PATH=/tmp psql",
    "LD_PRELOAD=x psql",
    "PSQLRC=/tmp/x psql",
    "env A=b psql",
    "sudo $X psql",
    "sudo --unknown psql",
    "docker run -it db psql",
    "docker exec -e PATH=/tmp -it db psql",
    "docker",
    "sudo",
    "ssh other",
    "su -c sh",
    "exec psql",
    "psql '",
    "psql \x1b",
]


@pytest.mark.parametrize("command", KNOWN)
def test_known(command: str) -> None:
    found = repl_of(command.encode())
    assert found is not None
    assert found.language is KNOWN[command]


@pytest.mark.parametrize("command", UNSURE)
def test_unsure(command: str) -> None:
    assert repl_of(command.encode()) is None


@given(st.binary(max_size=60) | st.text("psqlbah -$(){};|&<>'\"\\\n", max_size=40).map(str.encode))
def test_any_bytes_give_an_answer(command: bytes) -> None:
    found = repl_of(command)
    assert found is None or isinstance(found, Repl)


@given(
    st.sampled_from(sorted(PROGRAMS)),
    st.sampled_from(["$X", "`x`", "$(x)", "*", "--no-such-option", "<x", "; sh", "| sh", "-c x", "&& vim"]),
)
def test_nothing_uncertain_is_named(program: str, word: str) -> None:
    assert repl_of(f"{program} {word}".encode()) is None
