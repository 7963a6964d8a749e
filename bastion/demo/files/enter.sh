#!/bin/sh
# What the demo's target runs for every command: enter.sh HOME, with the command where sshd puts it. A clean environment,
# the scratch directory as home and current directory, its own programs first on the path. No fence: a command has the
# rights of whoever started the demo. The scripted ones stay inside.
if [ -z "${SSH_ORIGINAL_COMMAND:-}" ]; then
	echo "the demo's target has no shell: give a command" >&2
	exit 1
fi
cd "$1" || exit 1
exec env -i HOME="$1" USER="${USER:-demo}" PATH="$1/bin:/usr/bin:/bin" LANG=C.UTF-8 /bin/sh -c "$SSH_ORIGINAL_COMMAND"
