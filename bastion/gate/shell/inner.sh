# shellcheck shell=sh disable=SC2154,SC2034
# The control channel of an inner shell: makes its pipe and the file with its bootstrap, says where, waits for the word
# that the shell has opened the pipe, removes both, and copies frames. Joined and quoted as tty.sh is.
#
# $1 nonce, $2 name of the directory. The first line of its input is the bootstrap. It keeps a reading end of its own until
# the word comes, so that nobody waits in open(2); when its input ends before, it removes what it made.
d=;
z() { [ -z "$d" ] || { rm -f "$d/f" "$d/s"; rmdir "$d"; } 2>/dev/null; };
trap z EXIT; trap "exit 129" HUP INT TERM PIPE;
read -r l || exit 1;
for b in /tmp /dev/shm /var/tmp; do
d=$b/$2;
if mkdir -m 700 "$d" 2>/dev/null; then
if mkfifo -m 600 "$d/f" 2>/dev/null && printf "%s\012" "$l" >"$d/s"; then break; fi;
rm -f "$d/f" "$d/s"; rmdir "$d"; fi;
d=; done;
[ -n "$d" ] || exit 1;
exec 3<>"$d/f"; printf "P;%s;%s;%s\012" "$1" "$d" "$$";
read -r l || exit 1;
exec 4>"$d/f" 3<&-; z; trap - EXIT HUP INT TERM PIPE;
exec >&4 4>&-; command -p cat
