# shellcheck shell=sh disable=SC2154,SC2093,SC2209,SC2034,SC2015
# The bootstrap on channel T: makes the pipe, says so, waits for its other end, removes its name, becomes the shell.
#
# $1 nonce of the mark, $2 name of the directory, $3 `tty` or `pipe`.
#
# Joined to one line, it stands between single quotes in a command for any login shell: so no single quote, no
# exclamation mark (csh), backslashes before digits only (fish), and each line ends where the next can follow a blank.
# The pipe: a directory that did not exist (mkdir fails where anybody made it before), mode 0700, gone as soon as both
# ends are open, and also when the connection dies before that: so nothing here waits in open(2), where a trap would not
# run. With a terminal it waits for a line from the pipe, and the end of the connection is a hang-up (it may have come
# before this began: then it is no terminal any more); without one, for a line of its own input, which ends with it.
d=; i=0;
z() { [ -z "$d" ] || { rm -f "$d/f"; rmdir "$d"; } 2>/dev/null; };
trap z EXIT; trap "exit 129" HUP INT TERM PIPE;
for b in /tmp /dev/shm /var/tmp "$HOME"; do
d=$b/$2;
if mkdir -m 700 "$d" 2>/dev/null; then
if mkfifo -m 600 "$d/f" 2>/dev/null; then break; fi;
rmdir "$d"; fi;
d=; i=$((i+1)); done;
if [ -z "$d" ]; then
w="no directory for a pipe on the target: /tmp, /dev/shm, /var/tmp and the home are read-only or full, or mkfifo is missing";
printf "\033]7770;E;%s;%s\007" "$1" "$w"; exit 125; fi;
exec 6<>"$d/f"; t=$(tty) || t=; k=sh;
s=$(command -v bash) && case $s in /*) k=bash;; esac;
printf "\033]7770;M;%s;%s;%s;%s;%s\007" "$1" "$$" "$i" "$k" "$t";
case $3 in tty) [ -t 0 ] && read -r x <&6 || exit 1;; *) read -r x || exit 1;; esac;
exec 5<"$d/f" 6>&-; z; trap - EXIT HUP INT TERM PIPE;
case $k$3 in
bashtty) exec "$s" --noediting -l -i 7<&0 8>&1 9>/dev/null <&5 5<&-;;
bashpipe) exec "$s" -l 7<&0 8>&1 9>&2 <&5 5<&-;;
shtty) exec /bin/sh -l -i 7<&0 8>&1 9>/dev/null <&5 5<&-;;
*) exec /bin/sh -l 7<&0 8>&1 9>&2 <&5 5<&-;;
esac
