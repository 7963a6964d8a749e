# shellcheck shell=sh disable=SC2086
# The control channel K: copies frames from the bastion into the pipe. Joined and quoted as tty.sh is.
#
# $1 nonce, $2 name of the directory. The first line of its input says in which place the directory is, the shell's
# process id, and whether that waits at the pipe. When its input ends and the shell is still there, it hangs up, waits up
# to a second, and kills it: only if it is the process that it was (by the time at which it started), for numbers are
# used again.
q() { n=; read -r n 2>/dev/null <"/proc/$1/stat" || return 1; n=${n##*") "}; set -- $n; shift 19; n=$1; };
read -r i p t || exit 1;
case $i in 0) d=/tmp;; 1) d=/dev/shm;; 2) d=/var/tmp;; *) d=$HOME;; esac;
exec 3>"$d/$2/f" || exit 1;
[ "$t" = 0 ] || echo >&3;
printf "K;%s;%s\012" "$1" "$$";
m=; if q "$p"; then m=$n; fi;
exec >&3 3>&-; command -p cat; exec >&-;
if [ -n "$m" ] && q "$p" && [ "$m" = "$n" ]; then
kill -HUP "$p"; kill -CONT "$p";
for i in 0.1 0.1 0.2 0.2 0.4; do
sleep $i || sleep 1;
if q "$p" && [ "$m" = "$n" ]; then :; else exit 0; fi; done;
kill -9 "$p"; fi 2>/dev/null
