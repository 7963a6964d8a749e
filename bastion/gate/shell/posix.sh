# shellcheck shell=sh disable=SC3013,SC2016,SC2034
# The driver in a POSIX shell (dash, busybox ash), where the target has no bash; see bash.sh, which this follows.
#
# What differs: there is no PROMPT_COMMAND, so what bash does there is in PS1, which is expanded before each line is read
# and runs in a process of its own; how a command ended is noted by the line after it. After ^C
# or a syntax error dash forgets what it had read of the pipe: PS1 says so, and the bastion sends the line again.
PS2='' PS4='+ '
__b_t=0 __b_r='' __b_c='' __b_i='' __b_o='' __b_f='' __b_z='' __b_y=''
__b_m() { \printf '\033]7770;%s\007' "$1" >&8; }
__b_l() {
__b_c=$(\printf %b "$1")
__b_c=${__b_c%x}
__b_i=${1##*c}
PS1=$__b_p
}
__b_s() {
if [ "$__b_i" != "$1" ]; then
__b_c=''
__b_m "L;$1"
return "$__b_t"
fi
__b_i='' __b_r=1
if [ -n "$__b_o" ]; then
__b_c="{ \\set -$__b_o; \\__b_q; } 2>/dev/null
$__b_c"
fi
__b_m "B;$1"
return "$__b_t"
}
__b_q() { return "$__b_t"; }
__b_x() {
if [ -n "$__b_r" ]; then
__b_t=$1 __b_r='' __b_o='' __b_f=$-
case $- in *x*) __b_o=x ;; esac
case $- in *v*) __b_o=v$__b_o ;; esac
\set +xv
fi
}
# the shell's input is still the pipe, or the shell is none any more
__b_w() {
if [ -n "$__b_w" ] && ! [ "$__b_w" -ef "$__b_h" ]; then \kill -9 $$; fi
if [ -n "$__b_ww" ] && ! [ "$__b_ww" -ef "$__b_h" ]; then \kill -9 $$; fi
return 0
}
__b_u() {
__b_x "$?"
}
__b_g() {
if [ "$1" = 130 ] || [ -n "$__b_r" ]; then __b_m "I;$__b_j"; fi
if [ -n "${TMOUT-}" ]; then __b_m "K;$__b_j;${TMOUT%%[!0-9]*}"; fi
__b_w
}
__b_d() {
__b_x "$?"
__b_v=${PWD-}
if ! [ . -ef "$__b_v" ] || [ "${#__b_v}" -gt 4096 ]; then __b_v=''; fi
case $__b_v in *[![:print:]]* | *[\\\$\;]*) __b_v='' ;; esac
__b_m "D;$1;$__b_t;$__b_f;$__b_v"
if [ -n "$__b_n" ]; then \printf '\033]7770;D;%s;%s;;\007' "$1" "$__b_t" >&9; fi
return 0
}
__b_f() {
__b_z='' __b_y=''
__b_y=$(\command -p stty -g <&7) || return 0
\command -p stty -icanon -echo -isig -ixon -icrnl -inlcr -igncr -iuclc -istrip min 1 time 0 <&7 || return 0
__b_m "F;$1"
while IFS='' \read -r __b_v <&7; do
case $__b_v in *"$2") __b_z=1 && break ;; esac
done
return 0
}
__b_e() {
if [ -n "$__b_y" ]; then \command -p stty "$__b_y" <&7 || __b_z=''; fi
__b_y=''
__b_m "W;$1;${__b_z:-0}"
return 0
}
__b_a() { __b_m "R;$1;$-;$PWD"; }
__b_h=/proc/$__b_k/fd/1 __b_w='' __b_ww=''
: </dev/null
for __b_v in "/proc/$$/fd/"*; do
if [ "$__b_v" -ef "$__b_h" ]; then __b_ww=$__b_w __b_w=$__b_v; fi
done
__b_n='' __b_p=''
case $- in *i*) __b_p='$(__b_g "$?")' ;; *) __b_n=1 ;; esac
\readonly __b_k __b_h __b_w __b_ww __b_p __b_j __b_n
PS1=$__b_p
