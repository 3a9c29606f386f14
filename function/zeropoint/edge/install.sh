#!/bin/sh
# Installs this bundle, or upgrades to it, without a network:
#     sh install.sh [--prefix DIR] [--no-units] [-- OPTION...]
# OPTION...: for zeropoint install-edge, which writes systemd's units. An upgrade writes them anew
# only if -- is given.
set -eu

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

here=$(cd "$(dirname "$0")" && pwd)
if [ "$(id -u)" = 0 ]; then prefix=/opt/zeropoint; else prefix=${HOME:-}/.local/share/zeropoint; fi
units=yes
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help)
            sed -n 's/^# \{0,1\}//p' "$0" | sed -n 2,5p
            exit 0
            ;;
        --prefix)
            [ $# -ge 2 ] || fail "expected a folder after --prefix, got none"
            prefix=$2
            shift
            ;;
        --no-units) units=no ;;
        --)
            shift
            units=asked
            break
            ;;
        *) fail "expected --prefix DIR, --no-units or --, got $1" ;;
    esac
    shift
done
# The path goes into scripts and units as it is.
case $prefix in
    *[!A-Za-z0-9/._+-]* | [!/]* | '' | /) fail "expected a prefix of letters, digits and /._+- that begins with /, got '$prefix'" ;;
esac

# Damaged on the way? README.txt says how to tell that it is also whose you think.
(cd "$here" && sha256sum -c SHA256SUMS >/dev/null) || fail "the bundle is damaged: copy it again"

read -r machine version glibc release <"$here/target"
python=
for each in "${PYTHON:-python$version}" python3; do
    if command -v "$each" >/dev/null 2>&1; then
        python=$(command -v "$each")
        break
    fi
done
[ -n "$python" ] || fail "expected Python $version, got none: install it, or name it by PYTHON="
unset PYTHONPATH PYTHONHOME # of the caller's own packages none is meant
"$python" - "$machine" "$version" "$glibc" <<'EOF' || exit 1
import platform
import sys
import sysconfig

machine, version, glibc = sys.argv[1:]
library, number = platform.libc_ver()
found = {
    "Linux": (platform.system(), platform.system() == "Linux"),
    f"a processor {machine}": (platform.machine(), platform.machine() == machine),
    f"CPython {version}": (
        f"{platform.python_implementation()} {platform.python_version()}",
        platform.python_implementation() == "CPython"
        and ".".join(map(str, sys.version_info[:2])) == version
        and not sysconfig.get_config_var("Py_GIL_DISABLED"),
    ),
    f"glibc {glibc} or newer": (
        f"{library or 'another C library'} {number}",
        library == "glibc"
        and [int(part) for part in number.split(".")[:2]] >= [int(part) for part in glibc.split(".")],
    ),
}
for wanted, (got, fits) in found.items():
    if not fits:
        sys.exit(f"install.sh: the bundle is made for {wanted}, and this is {got}")
EOF

umask 022
mkdir -p "$prefix/releases" "$prefix/models" "$prefix/bin"
exec 9>"$prefix/.lock"
"$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null ||
    fail "another installation into $prefix runs"

# A release is a virtual environment of its own, of the wheels that requirements.txt names by their
# digests: a bundle with other models only has the same. It counts once it has a file `complete`.
id=$release-$(sha256sum <"$here/requirements.txt" | cut -c 1-12)
new=$prefix/releases/$id
if [ ! -f "$new/complete" ]; then
    rm -rf "$new"
    "$python" -m venv --without-pip "$new"
    for pip in "$here"/wheels/pip-*.whl; do
        "$new/bin/python" "$pip/pip" --isolated install --quiet --disable-pip-version-check \
            --no-input --no-cache-dir --no-index --no-deps --no-compile --require-hashes \
            --find-links "$here/wheels" --requirement "$here/requirements.txt"
    done
    # ONNX Runtime's library for C is a second copy of what its Python module holds.
    rm -f "$new"/lib/python*/site-packages/onnxruntime/capi/libonnxruntime.so.*
    find "$new" -type d -name tests -prune -exec rm -r {} +
    # Once and here: a hardened service may not write, and would compile at each start.
    "$new/bin/python" -m compileall -q -j 0 "$new/lib" >/dev/null ||
        echo "install.sh: not all modules could be compiled" >&2
fi
check() {
    ZEROPOINT_MODELS=$1 "$new/bin/python" -m zeropoint check ||
        fail "a model in $1 does not give its known answer with this release; nothing was changed"
}
check "$here/models"
[ -z "$(ls "$prefix/models")" ] || check "$prefix/models"
cat >"$prefix/bin/.zeropoint" <<EOF
#!/bin/sh
# Written by install.sh of a bundle.
export ZEROPOINT_MODELS="\${ZEROPOINT_MODELS:-$prefix/models}"
exec $prefix/current/bin/python -m zeropoint "\$@"
EOF
chmod 755 "$prefix/bin/.zeropoint"
sync # what follows must not reach the disk before what it leads to
: >"$new/complete"

before=
[ ! -L "$prefix/current" ] || before=$(basename "$(readlink "$prefix/current")")
if [ "$before" != "$id" ]; then
    ln -sfn "releases/$id" "$prefix/.current"
    "$python" -c 'import os, sys; os.replace(*sys.argv[1:])' "$prefix/.current" "$prefix/current"
    for each in "$prefix"/releases/*; do
        case $(basename "$each") in "$id" | "$before") continue ;; esac
        rm -f "$each/complete"
        rm -rf "$each"
    done
fi
mv "$prefix/bin/.zeropoint" "$prefix/bin/zeropoint"
for each in "$here"/models/*/; do
    name=$(basename "$each")
    if [ -e "$prefix/models/$name" ]; then
        ZEROPOINT_MODELS=$prefix/models "$prefix/bin/zeropoint" models update "$each"
    else
        rm -rf "$prefix/models/.part-$name"
        cp -R "$each" "$prefix/models/.part-$name"
        chmod -R u=rwX,go=rX "$prefix/models/.part-$name"
        sync
        mv "$prefix/models/.part-$name" "$prefix/models/$name"
    fi
done
sync
echo "zeropoint $release is at $prefix/bin/zeropoint"

# Those that are there lead to `current`, and may have been written with other options.
[ -z "$before" ] || [ "$units" = asked ] || units=no
[ "$units" != no ] || exit 0
[ "$(id -u)" = 0 ] || set -- --user "$@"
exec "$prefix/bin/zeropoint" install-edge --models "$prefix/models" "$@"
