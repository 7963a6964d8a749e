"""Help that people read: a line of each verb in its noun's list, whole, and examples behind the options.

Theory of operation. click cuts the lines of a list at the width of the terminal; `completed` gives each verb its first
sentence instead, which click then wraps. EXAMPLES are lines to be typed, by the words of the command; tests read each
with the real parser, so that none can rot.
"""

from __future__ import annotations

import inspect
import re

import click

EXAMPLES = {
    "demo": ("bastion demo --headless",),
    "init": ("bastion init /etc/bastion --listen 0.0.0.0:2222 --host bastion.example",),
    "host-ca": ("bastion host-ca --hosts 'web-*,db-1'",),
    "identity add": (
        "bastion identity add ana --kind human --role approver --key ana.pub",
        "bastion identity add claude-ops --kind agent --key claude-ops.pub",
    ),
    "identity revoke": ('bastion identity revoke claude-ops --reason "its key was leaked"',),
    "target add": (
        "bastion target add web-1 --address 10.0.0.5:22 --login deploy \\\n"
        "    --env production --credential key:/etc/bastion/web-1.key",
    ),
    "grant add": ('bastion grant add claude-ops web-1 --for 30m --reason "restart nginx"',),
    "access review": ("bastion access review --unused 14d",),
    "blast": ("bastion blast claude-ops",),
    "freeze": (
        'bastion freeze --all --cut --reason "an agent runs wild"',
        'bastion freeze --env production --hold --reason "release day"',
        "bastion freeze --list",
    ),
    "unfreeze": ('bastion unfreeze f-7372 --reason "it is over"',),
    "group set": ("bastion group set oncall ana ben",),
    "request list": ("bastion request list --state held --limit 0",),
    "request watch": ("bastion request watch --desktop",),
    "request approve": (
        "bastion request approve r-7f3a",
        "bastion request approve r-7f3a --mode raw --for 5m",
        "bastion request approve r-7f3a --remember 'docker restart {container}'",
    ),
    "request deny": ('bastion request deny r-7f3a --reason "these are our only backups"',),
    "request edit": ("bastion request edit r-7f3a --command 'rm -f var/log/app.log.1'",),
    "stats": ("bastion stats --since 7d",),
    "notify test": ("bastion notify test", "bastion notify test oncall-slack"),
    "retention run": ("bastion retention run --dry-run",),
    "session search": (
        "bastion session search 'permission denied' --since 7d",
        "bastion session search nginx --identity claude-ops --open",
    ),
    "session replay": (
        "bastion session replay s-12ab --at 1:23",
        "bastion session replay s-12ab --request r-7f3a --idle 2",
    ),
    "session export": ("bastion session export s-12ab --format html --output s-12ab.html",),
    "session kill": ('bastion session kill s-12ab --reason "wrong host"',),
    "session redact": (
        'bastion session redact s-12ab --secrets --reason "a key was shown" \\\n    --save order.json',
        "bastion session redact --order order.json",
    ),
    "ledger verify": (
        'bastion ledger verify --head "$ANCHOR"',
        "bastion ledger verify bundle --log-key ledger_key.pub",
    ),
    "ledger export": ("bastion ledger export bundle", "bastion ledger export - --format ocsf --after 1200"),
    "witness init": ("bastion witness init witness --name witness.example/w1",),
    "witness trust": ("bastion witness trust witness bastion.example/0c4ab137 ledger_key.pub",),
    "witness serve": ("bastion witness serve witness --listen 0.0.0.0:2223",),
    "risk": ("bastion risk 'find /srv -mtime +7 -delete'", "bastion risk --language psql 'DROP TABLE users'"),
    "policy check": ("bastion policy check action.json --policy policy.bastion --strict",),
    "policy explain": ("bastion policy explain policy.bastion",),
    "policy replay": ("bastion policy replay new.bastion --limit 5000",),
    "whitelist add": (
        "bastion whitelist add uptime --identity claude-ops --env staging",
        "bastion whitelist add 'docker restart web' --identity claude-ops \\\n"
        "    --target web-1 --pattern 'docker restart {container}' --for 2d",
    ),
    "whitelist diff": ("bastion whitelist diff env:staging env:production",),
    "whitelist promote": ("bastion whitelist promote --from staging --to production",),
    "tui": ("bastion tui --bastion bastion.example:2222 --key ~/.ssh/id_ed25519",),
    "preferences set": ("bastion preferences set theme=bastion-light request.approve=f2",),
}
"""By the words of the command."""


def completed(noun: str, command: click.Command) -> click.Command:
    """The noun's command, and its verbs, with whole lines and with examples; the same object."""
    verbs = command.commands.items() if isinstance(command, click.Group) else ()
    for words, each in ((noun, command), *((f"{noun} {name}", verb) for name, verb in verbs)):
        each.short_help = first_sentence(each.help or "")
        if words in EXAMPLES:
            each.epilog = "\n".join(["\b", "Examples:", *(f"  {line}" for line in _lines(words))])
    return command


def first_sentence(text: str) -> str:
    """To the first full stop that ends one, or to the end of the paragraph; on one line."""
    paragraph = " ".join(inspect.cleandoc(text).split("\n\n")[0].split())
    return re.split(r"(?<=[.])\s", paragraph, maxsplit=1)[0]


def _lines(words: str) -> list[str]:
    return [line for example in EXAMPLES[words] for line in example.splitlines()]
