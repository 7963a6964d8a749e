#!/bin/sh
# In front of the real curl on the demo's target: what the scripted agents ask for must not leave this machine, whoever
# approves it. It notes that it was called, so that the demo can tell afterwards, and says what curl says without a network.
printf 'curl %s\n' "$*" >>"$HOME/var/log/fetched"
echo 'curl: (6) Could not resolve host: the demo has no network' >&2
exit 6
