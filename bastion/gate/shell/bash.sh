# shellcheck shell=bash
# The driver in the target's bash, read from the pipe before the first frame. $__b_k, the control process, is set first.
#
# Descriptors: 0 is the pipe, 7 the terminal to read from, 8 the terminal to write marks to, 9 the second output of a
# shell without a terminal. Commands have none but the terminal. Words are backslashed against aliases, `builtin` keeps
# functions out, functions are read-only, and nothing depends on PATH or IFS.
#
# A command is evaluated at top level, never in a function: `declare`, `set --`, `return` and `local` would mean something
# else there. $? before it is what `__b_s` returns.
#
# PROMPT_COMMAND is what bash does before it reads a line, also after ^C has thrown it out of whatever it was doing. There
# `__b_g` notes how the command ended, and makes sure that descriptor 0 is still the pipe: a command that re-pointed the
# descriptor in which bash kept it (`exec 10</tmp/f`) would have turned a file into commands. With TMOUT, bash ends itself
# when no line comes for so many seconds: `__b_g` tells, and the bastion sends empty lines meanwhile.
PS1='' PS2='' BASH_ARGV0=-bash
unset PROMPT_COMMAND
set +o history
__b_t=0 __b_r='' __b_c='' __b_i='' __b_o='' __b_f='' __b_z='' __b_y='' __b_v=0 __b_a=''
__b_p='{ \__b_g; } 2>/dev/null'
# mark TEXT
__b_m() {
	\builtin printf '\033]7770;%s\007' "$1" >&8 && \builtin return 0
	\builtin enable printf && \builtin printf '\033]7770;%s\007' "$1" >&8 && \builtin enable -n printf
	\builtin return 0
}
# decode a command; its nonce is behind the last c
__b_l() {
	\builtin enable printf
	\builtin printf -v __b_c %b "$1"
	__b_c=${__b_c%x}
	__b_i=${1##*c}
	\builtin return 0
}
# start: the command runs next, with the options that would have shown our own lines, and with $? as it was
__b_s() {
	if [[ $__b_i != "$1" ]]; then
		__b_c=''
		__b_m "L;$1"
		\builtin return "$__b_t"
	fi
	__b_i='' __b_r=1
	# a second exit in a row ends a shell with stopped jobs, and to bash no two of our commands are in a row: jobs counts, too
	if [[ $__b_c == @(exit|logout)?([[:space:]]*) ]]; then
		if [[ -n $__b_a ]]; then __b_c="{ \\builtin jobs; } >/dev/null 2>&1"$'\n'"$__b_c"; fi
		__b_a=1
	elif [[ $__b_c != '\builtin '* ]]; then # that is what the bastion asks between two of them
		__b_a=''
	fi
	if [[ -n $__b_o ]]; then
		if [[ $__b_t != 0 && $- == *e* ]]; then
			__b_c="{ \\builtin set -$__b_o; } 2>/dev/null"$'\n'"$__b_c"
		else
			__b_c="{ \\builtin set -$__b_o; \\__b_q; } 2>/dev/null"$'\n'"$__b_c"
		fi
	fi
	\builtin export -n __b_c __b_t __b_r __b_i __b_o __b_f __b_z __b_y __b_v __b_a
	__b_m "B;$1"
	\builtin return "$__b_t"
}
__b_q() { \builtin return "$__b_t"; }
# ended: note once how, and put tracing off
__b_x() {
	if [[ -n $__b_r ]]; then
		__b_t=$1 __b_r='' __b_o='' __b_f=$-
		case $- in *x*) __b_o=x ;; esac
		case $- in *v*) __b_o=v$__b_o ;; esac
		\builtin set +xv
	fi
}
# the shell's input is still the pipe, or the shell is none any more; and PROMPT_COMMAND is ours
__b_w() {
	\builtin local f
	if [[ ${PROMPT_COMMAND[*]-} != "$__b_p" ]]; then
		\builtin unset PROMPT_COMMAND
		PROMPT_COMMAND=$__b_p
	fi
	for f in "${__b_w[@]}"; do
		if [[ ! $f -ef $__b_h ]]; then \builtin kill -9 $$; fi
	done
}
# behind a command: note how it ended
__b_u() {
	__b_x "$?"
	\builtin return 0
}
# before each line that is read
__b_g() {
	__b_v=$?
	__b_x "$__b_v"
	__b_w
	if [[ $__b_v == 130 ]]; then __b_m "I;$__b_j"; fi
	if [[ -n ${TMOUT-} ]]; then __b_m "K;$__b_j;${TMOUT%%[^0-9]*}"; fi
	\builtin return 0
}
__b_d() {
	__b_x "$?"
	\builtin local d
	d=${PWD-}
	if [[ ! . -ef $d || ${#d} -gt 4096 ]]; then d=''; fi
	\builtin enable printf
	\builtin printf -v d %q "$d"
	__b_m "D;$1;$__b_t;$__b_f;$d"
	if [[ -n $__b_n ]]; then \builtin printf '\033]7770;D;%s;%s;;\007' "$1" "$__b_t" >&9; fi
	\builtin return 0
}
# flush NONCE TOKEN: what was typed and not read goes
__b_f() {
	\builtin local l
	__b_z='' __b_y=''
	__b_y=$(\builtin command -p stty -g <&7) || \builtin return 0
	\builtin command -p stty -icanon -echo -isig -ixon -icrnl -inlcr -igncr -iuclc -istrip min 1 time 0 <&7 || \builtin return 0
	__b_m "F;$1"
	while IFS='' \builtin read -r -u 7 l; do
		if [[ $l == *"$2" ]]; then __b_z=1 && \builtin break; fi
	done
	\builtin return 0
}
__b_e() {
	if [[ -n $__b_y ]]; then \builtin command -p stty "$__b_y" <&7 || __b_z=''; fi
	__b_y=''
	__b_m "W;$1;${__b_z:-0}"
	\builtin return 0
}
# ready NONCE
__b_a() {
	\builtin local d
	\builtin printf -v d %q "$PWD"
	__b_m "R;$1;$-;$d"
}
# The pipe, as the control process has it: where /proc can tell. Which descriptors are the pipe (without a terminal, bash
# keeps its input in another one than 0 from the first redirection on) is seen once, and holds from then on.
__b_h=/proc/$__b_k/fd/1 __b_w=()
: </dev/null
for __b_v in "/proc/$$/fd/"*; do
	if [[ $__b_v -ef $__b_h ]]; then __b_w+=("$__b_v"); fi
done
__b_v=0
__b_n=''
[[ $- == *i* ]] || __b_n=1
\builtin readonly __b_k __b_h __b_w __b_p __b_j __b_n
\builtin readonly -f __b_m __b_l __b_s __b_q __b_x __b_u __b_g __b_d __b_f __b_e __b_a
PROMPT_COMMAND=$__b_p
