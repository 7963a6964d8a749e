# shellcheck shell=sh disable=SC2154,SC2034,SC2086,SC2254
# The observer on channel O: for each line of input, one line of output. Joined and quoted as tty.sh is.
#
# $1 the terminal, $2 the shell's process id. Says whether the terminal echoes, whether it collects lines, and which of
# the programs that ask for passwords reads from it: found among the processes of the foreground group, named by the
# kernel, run by root, without a child (a sudo that has started its program asks no more, and the program may be a shell
# that put the echo off), while echo is off. Where the link to its program can be read, it must be one of the usual
# files: anybody who is root can name a process as he likes.
while read -r a; do
m=$(command -p stty -a <"$1" 2>/dev/null) || m=; e=0; c=0; o=;
case " $m " in *" echo "*) e=1;; esac;
case " $m " in *" icanon "*) c=1;; esac;
g=; if read -r n 2>/dev/null <"/proc/$2/stat"; then n=${n##*") "}; set -- "$1" "$2" $n; g=$8; fi;
if [ $e = 0 ] && [ -n "$m" ] && [ -n "$g" ]; then
h=; q=;
for f in /proc/[0-9]*/stat; do
n=; read -r n 2>/dev/null <"$f" || continue;
x=${n#*"("}; x=${x%")"*}; p=${f#/proc/}; p=${p%/stat}; n=${n##*") "};
set -- "$1" "$2" $n;
h="$h $4 ";
case $x in sudo|su|passwd|doas|login) ;; *) continue;; esac;
[ "$5" = "$g" ] || continue;
u=; while read -r k r v w z; do case $k in Uid:) u=$v;; esac; done <"/proc/$p/status";
[ "$u" = 0 ] || continue;
l=$(readlink "/proc/$p/exe" 2>/dev/null);
case $l in ""|/usr/bin/$x|/bin/$x|/usr/local/bin/$x|/run/wrappers/wrappers.*/$x) q="$q $p $x";; esac;
done 2>/dev/null;
set -- "$1" "$2" $q;
while [ $# -gt 3 ]; do
case $h in *" $3 "*) ;; *) o=$4;; esac;
p=$1; x=$2; shift 4; set -- "$p" "$x" "$@"; done; fi;
[ -n "$m" ] || e=;
printf "O;%s;%s;%s;%s\012" "$a" "$e" "$c" "$o"; done
