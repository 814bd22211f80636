#!/bin/sh
# Tries the README's two commands where nothing is installed: `npm start` from a bare clone of what is committed, then `npm test`,
# in clean roots of distributions, by a user who cannot become root. Prints how each ended, its seconds and the disk it took.
#
#   scripts/fresh-machine.sh [--keep-logs FOLDER] [--no-check-gpg] SUITE[=MIRROR] ...
#
# As root, with debootstrap, on the host whose Node and npm are to be tried: bookworm trixie noble=MIRROR. debootstrap knows a
# mirror for Debian's suites. Packages are checked with the keyring of the distribution; for the suites behind --no-check-gpg
# they are not.
set -eu

fail() {
  echo "fresh-machine: $1" >&2
  exit 2
}

# Runs a command in namespaces of its own, so that no mount and no process of it outlives it, and a signal here ends it.
apart() {
  unshare --mount --pid --fork --kill-child "$@" &
  running=$!
  ended=0
  wait "$running" || ended=$?
  running=
  return "$ended"
}

# Debootstraps suite $1 into $2 from mirror $3, with $4 for the signatures; adds Node, the host's way to the network and a user.
prepare() {
  script=/usr/share/debootstrap/scripts/$1
  [ -e "$script" ] || script=/usr/share/debootstrap/scripts/jammy # a suite that this debootstrap does not know: Ubuntus are alike
  apart debootstrap --variant=minbase "$4" "$1" "$2" "$3" "$script" > "$logs/$1.debootstrap" 2>&1 ||
    { tail -n 5 "$logs/$1.debootstrap" >&2; fail "expected debootstrap to make $1, got an error"; }
  mkdir -p "$2/usr/local/lib/node_modules" "$2/etc/ssl/certs"
  cp -L "$(command -v node)" "$2/usr/local/bin/node"
  cp -r "$(npm root --global)/npm" "$2/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$2/usr/local/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$2/usr/local/bin/npx"
  for file in /etc/resolv.conf /etc/hosts "$certificates"; do
    [ ! -e "$file" ] || cp -L "$file" "$2$file"
  done
  chroot "$2" useradd --create-home --shell /bin/sh reader
  git clone --quiet --no-hardlinks "$repository" "$2/home/reader/visionzip"
  chroot "$2" chown -R reader:reader /home/reader
}

# Runs command $2 as the user in root $1.
as_user() {
  apart --mount-proc="$1/proc" chroot --userspec=reader:reader "$1" \
    env -i HOME=/home/reader USER=reader PATH=/usr/local/bin:/usr/bin:/bin NODE_EXTRA_CA_CERTS="$certificates" \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} ${no_proxy:+no_proxy="$no_proxy"} \
    sh -c "cd ~/visionzip && $2"
}

logs=
if [ "${1:-}" = --keep-logs ]; then
  mkdir -p "${2:?fresh-machine: expected a folder for the logs}"
  logs=$(cd "$2" && pwd)
  shift 2
fi
[ $# -gt 0 ] || fail "expected a suite, such as bookworm, got none"
[ "$(id -u)" = 0 ] || fail "expected root, which chroot needs, got user $(id -un)"
for tool in debootstrap chroot unshare git node npm; do
  command -v "$tool" > /dev/null || fail "expected $tool on the path, got none"
done
repository=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
certificates=/etc/ssl/certs/ca-certificates.crt # of the host: its proxy may have put its own there
work=$(mktemp -d "${TMPDIR:-/var/tmp}/visionzip-fresh.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
running=
trap '[ -z "$running" ] || kill -KILL "$running"; exit 130' INT TERM
logs=${logs:-$work}

echo "$(git -C "$repository" log -1 --format='commit %h'), Node $(node --version), npm $(npm --version), $(nproc) cores"
check=--force-check-gpg
failed=0
for argument in "$@"; do
  [ "$argument" != --no-check-gpg ] || { check=--no-check-gpg; continue; }
  suite=${argument%%=*}
  mirror=${argument#"$suite"}
  root=$work/$suite
  prepare "$suite" "$root" "${mirror#=}" "$check"
  name=$(. "$root/etc/os-release" && echo "$PRETTY_NAME")
  [ "$check" = --force-check-gpg ] || echo "$name: --no-check-gpg, made of packages whose signatures nobody checked"
  for command in start test; do
    log=$logs/$suite.npm-$command
    begun=$(date +%s)
    code=0
    as_user "$root" "npm $command" > "$log" 2>&1 || code=$?
    seconds=$(($(date +%s) - begun))
    sum=$(grep -E '^ *Tests  |^VisionZip on ' "$log" | tail -n 1 | sed 's/^ *//')
    disk=$(du -sm "$root/home/reader" | cut -f 1)
    echo "$name: npm $command: exit $code, $seconds s, $disk MB in the user's home. $sum"
    [ "$code" = 0 ] || { failed=1; tail -n 40 "$log" >&2; }
  done
  rm -rf --one-file-system "$root"
done
exit "$failed"
