# shellcheck shell=sh disable=SC2154,SC2093,SC2209
# The bootstrap on channel T: makes the pipe, says so, waits for its other end, removes its name, becomes the shell.
#
# $1 nonce of the mark, $2 name of the directory, $3 `tty` or `pipe`.
#
# Joined to one line, it stands between single quotes in a command for any login shell: so no single quote, no
# exclamation mark (csh), backslashes before digits only (fish), and each line ends where the next can follow a blank.
# The pipe: a directory that did not exist (mkdir fails where anybody made it before), mode 0700, gone as soon as both
# ends are open, and also when the connection dies before that.
d=; i=0;
for b in /tmp /dev/shm /var/tmp "$HOME"; do
if mkdir -m 700 "$b/$2" 2>/dev/null; then
if mkfifo -m 600 "$b/$2/f" 2>/dev/null; then d=$b/$2; break; fi;
rmdir "$b/$2"; fi;
i=$((i+1)); done;
if [ -z "$d" ]; then
w="no directory for a pipe on the target: /tmp, /dev/shm, /var/tmp and the home are read-only or full, or mkfifo is missing";
printf "\033]7770;E;%s;%s\007" "$1" "$w"; exit 125; fi;
z() { rm -f "$d/f"; rmdir "$d" 2>/dev/null; }; trap z EXIT; trap "exit 129" HUP INT TERM PIPE;
t=$(tty) || t=; k=sh;
s=$(command -v bash) && case $s in /*) k=bash;; esac;
printf "\033]7770;M;%s;%s;%s;%s;%s\007" "$1" "$$" "$i" "$k" "$t";
exec 6<"$d/f"; z; trap - EXIT HUP INT TERM PIPE;
case $k$3 in
bashtty) exec "$s" --noediting -l -i 7<&0 8>&1 9>/dev/null <&6 6<&-;;
bashpipe) exec "$s" -l 7<&0 8>&1 9>&2 <&6 6<&-;;
shtty) exec /bin/sh -l -i 7<&0 8>&1 9>/dev/null <&6 6<&-;;
*) exec /bin/sh -l 7<&0 8>&1 9>&2 <&6 6<&-;;
esac
