#!/bin/sh
# Checks this bundle with sh, sha256sum and ssh-keygen. Usage: sh verify.sh KEY
# KEY: a file with the log's public key (one line, as in ssh's .pub files), which you got from elsewhere. See README.
set -eu
[ $# -eq 1 ] && [ -f "$1" ] || { echo "usage: sh verify.sh KEY" >&2; exit 2; }
given=$(cd -- "$(dirname -- "$1")" && pwd)/$(basename -- "$1")
cd -- "$(dirname -- "$0")"
bad() { echo "TAMPER: $1" >&2; exit 1; }
signers=$(mktemp) && trap 'rm -f "$signers"' EXIT
# use KEY: signatures are by this one from here on
use() {
	[ -n "$1" ] || bad "no key in $file"
	echo "$origin namespaces=\"checkpoint@agent-bastion,segment@agent-bastion\" ssh-ed25519 $1" >"$signers"
	if grep -v '^#' "$given" | grep -qF "ssh-ed25519 $1"; then known=yes; fi
}
signed() {
	ssh-keygen -Y verify -f "$signers" -I "$origin" -n "$1@agent-bastion" -s "$2.sig" <"$2" >/dev/null 2>&1 ||
		bad "$2 is not signed by the log's key"
}
# the key that the entry on stdin announces: entry 0, and every key.rotated
announced() { sed -n 's/^{"actor":"[^"\\]*","body":{"log_key":"ssh-ed25519 \([A-Za-z0-9+/]*=*\)",.*/\1/p'; }
rotates='"type":"key.rotated","v":1}$'

origin=$(sed -n 1p checkpoint.txt) size=$(sed -n 2p checkpoint.txt)
file=seg-000000.jsonl number=0 entries=0 previous='' known=no next=$(sed -n 2p "$file" | announced)
mark=$({ printf '\000'; sed -n 2p "$file" | tr -d '\n'; } | sha256sum | cut -c1-8)
echo "$origin" | grep -qx "[A-Za-z0-9.-]*/$mark" || bad "the checkpoint is of another log than entry 0"
for file in seg-*.jsonl; do
	[ "$file" = "$(printf seg-%06d.jsonl "$number")" ] || bad "a segment is missing before $file"
	[ -z "$next" ] || use "$next"
	next=''
	first="{\"first\":$entries,\"origin\":\"$origin\",\"previous\":\"$previous\",\"segment\":$number,\"v\":1}"
	sed -n 1p "$file" | grep -qxF "$first" || bad "$file does not follow"
	signed segment "$file"
	if sed '$d' "$file" | grep -q "$rotates"; then bad "a key changes within $file"; fi
	if sed -n '$p' "$file" | grep -q "$rotates"; then next=$(sed -n '$p' "$file" | announced); fi
	previous=$(sha256sum <"$file" | cut -d' ' -f1)
	entries=$((entries + $(wc -l <"$file") - 1)) number=$((number + 1))
done
[ "$entries" = "$size" ] || bad "$entries entries where the checkpoint signs $size"
signed checkpoint checkpoint.txt
[ "$known" = yes ] || bad "no key of this log is in the file that you gave"
sha256sum -c SHA256SUMS >/dev/null 2>&1 || bad "a file is not the one that was exported"
echo "ok: $size entries of $origin"
