# shellcheck shell=sh disable=SC2154,SC2093,SC2209,SC2015
# The bootstrap of a shell inside the governed one (`sudo -i`, `docker exec -it … sh`): becomes the inner shell, whose
# commands come from a pipe of its own. One line of a file that inner.sh made; quoting as in tty.sh.
#
# $1 nonce of the mark, $2 the pipe, $3 `login`, `plain` or `sh`.
exec 5<"$2" || exit 125;
t=$(tty) || t=; k=sh; s=;
[ "$3" = sh ] || { s=$(command -v bash) && case $s in /*) k=bash;; esac; };
printf "\033]7770;M;%s;%s;%s;%s;%s\007" "$1" "$$" 0 "$k" "$t";
case $k$3 in
bashlogin) exec "$s" --noediting -l -i 7<&0 8>&1 9>/dev/null <&5 5<&-;;
bashplain) exec "$s" --noediting -i 7<&0 8>&1 9>/dev/null <&5 5<&-;;
shlogin) exec /bin/sh -l -i 7<&0 8>&1 9>/dev/null <&5 5<&-;;
*) exec /bin/sh -i 7<&0 8>&1 9>/dev/null <&5 5<&-;;
esac
