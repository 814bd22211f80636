#!/bin/sh
# Starts the visionzip command of this folder, wherever the folder lies, with the node, Dawn and drivers in it.

fail() {
  printf 'visionzip: %s\n' "$1" >&2
  exit 2
}

unset CDPATH
self=$0
case $self in
  */*) ;;
  *) self=./$self ;;
esac
while [ -h "$self" ]; do
  link=$(readlink -- "$self") || fail "expected readlink to follow $self, got none; start the file that it points to"
  case $link in
    /*) self=$link ;;
    *) self=${self%/*}/$link ;;
  esac
done
here=$(cd -P -- "${self%/*}/" && pwd) || fail "expected to enter the folder of $self, got no permission"

system=$(uname -s -m 2>/dev/null) || system='Linux x86_64'
[ "$system" = 'Linux x86_64' ] || fail "expected Linux on x86_64, which this bundle is made for, got $system"
[ -e /lib64/ld-linux-x86-64.so.2 ] || fail 'expected a system with glibc 2.34 or later, got one without it (Alpine?)'

# Where no driver of the system works, the software driver of this folder is taken.
VISIONZIP_DRIVER_FOLDER=${VISIONZIP_DRIVER_FOLDER:-$here/lib/vulkan}
VISIONZIP_COMMAND=$0 # what the demo says to start
export VISIONZIP_DRIVER_FOLDER VISIONZIP_COMMAND
exec "$here/bin/node" "$here/app/dist/cli.js" "$@"
