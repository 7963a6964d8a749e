# shellcheck shell=sh disable=SC2154,SC2034,SC2086,SC2254
# The observer on channel O: for each line of input, one line of output. Joined and quoted as tty.sh is.
#
# $1 the terminal, $2 the shell's process id. Says whether the terminal echoes, whether it collects lines, and which of
# the programs that ask for passwords reads from it: found among the processes of the foreground group, named by the
# kernel, run by root, while echo is off. Where the shell itself is root's, its link to the program must also be one of
# the usual files: anybody who is root can name a process as he likes.
while read -r a; do
m=$(command -p stty -a <"$1" 2>/dev/null) || m=; e=0; c=0; o=;
case " $m " in *" echo "*) e=1;; esac;
case " $m " in *" icanon "*) c=1;; esac;
g=; if read -r n 2>/dev/null <"/proc/$2/stat"; then n=${n##*") "}; set -- "$1" "$2" $n; g=$8; fi;
if [ $e = 0 ] && [ -n "$m" ] && [ -n "$g" ]; then
for f in /proc/[0-9]*/stat; do
n=; read -r n 2>/dev/null <"$f" || continue;
x=${n#*"("}; x=${x%")"*};
case $x in sudo|su|passwd|doas|login) ;; *) continue;; esac;
p=${f#/proc/}; p=${p%/stat}; n=${n##*") "};
set -- "$1" "$2" $n;
[ "$5" = "$g" ] || continue;
u=; while read -r k r v w z; do case $k in Uid:) u=$v;; esac; done <"/proc/$p/status";
[ "$u" = 0 ] || continue;
l=$(readlink "/proc/$p/exe" 2>/dev/null);
case $l in ""|/usr/bin/$x|/bin/$x|/usr/local/bin/$x|/run/wrappers/wrappers.*/$x) o=$x;; esac;
done 2>/dev/null; fi;
[ -n "$m" ] || e=;
printf "O;%s;%s;%s;%s\012" "$a" "$e" "$c" "$o"; done
