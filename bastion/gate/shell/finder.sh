# shellcheck shell=sh disable=SC2154,SC2034,SC2086
# Before the observer of a command with a terminal (observer.sh): finds the terminal, and the process that has it. Joined
# and quoted as tty.sh is.
#
# The connection has one other channel, so what sshd started for that is the one other child of our own parent that has a
# terminal. proc(5): the fourth field of stat is the parent, the seventh the terminal's number, whose bits 8 to 19 are the
# major number, 136 for those of sshd. It may be that the command is being started: then it is looked for again.
t=; p=;
for i in 1 2 3 4 5 6 7 8; do
for f in /proc/[0-9]*/stat; do
n=; read -r n 2>/dev/null <"$f" || continue;
set -- ${n##*") "};
if [ "$2" = "$PPID" ] && [ "$(($5>>8&4095))" = 136 ]; then
t=/dev/pts/$(($5&255|$5>>12&1048320)); p=${f#/proc/}; p=${p%/stat}; fi;
done 2>/dev/null;
[ -z "$p" ] || break;
sleep 0.1 || sleep 1; done;
set -- "$t" "$p";
