#!/usr/bin/env bash
# Sets up .venv from the lock files, Java, and Delta's JAR; with `grocery`, the grocer's data as well.
# Does nothing when a stamp says that all is there. Exit code 6: something is missing that it may not install.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly venv=.venv
readonly what="${1:-base}"

say() { printf 'setup: %s\n' "$*" >&2; }

missing() { # what is missing, how to mend it
    printf '%s\n  fix: %s\n' "$1" "$2" >&2
    exit 6
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt_install() { # packages; false where apt is missing or may not be used
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || return 1
    say "installing $* through apt-get"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null 2>&1 && return
    as_root apt-get update -q >/dev/null
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null
}

usable() { # a Python of the right version that can make a virtual environment with pip
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13)); ' 2>/dev/null \
        && "$1" -c 'import ensurepip, venv' 2>/dev/null
}

find_python() {
    local name
    for name in ${PYTHON:-} python3.11 python3.12 python3 /usr/bin/python3.11 /usr/bin/python3.12; do
        if command -v "$name" >/dev/null && usable "$name"; then
            command -v "$name"
            return
        fi
    done
    return 1
}

java_home() {
    PYTHONPATH=. "$1" - <<'PYTHON'
import sys
from retail_spark.errors import ServiceMissingError
from retail_spark.spark.java import java_home
try:
    sys.stdout.write(f"{java_home()}\n")
except ServiceMissingError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(error.exit_code)
PYTHON
}

stamp() { # lock files: what this environment would be after the set-up
    "$venv/bin/python" -c 'import sys; print(sys.version, sys.prefix)'
    sha256sum "$@" pyproject.toml deploy/setup.sh deploy/prefetch.py
    printf '%s\n' "${RETAIL_SPARK__SPARK__JARS_DIR:-}" "${RETAIL_SPARK__SPARK__DELTA_PACKAGE:-}"
}

is_set_up() { # stamp file, lock files
    [ -x "$venv/bin/python" ] && [ -f "$1" ] && [ "$(stamp "${@:2}")" = "$(cat "$1")" ]
}

pip_install() { # pip's arguments; nothing is resolved, and what is built is built by what a lock has installed before
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps "$@"
}

give_uv_pips_settings() { # mirrors, certificates and proxy, as pip has them; what is set for uv itself wins
    local line name
    while IFS= read -r line; do
        name="${line%%=*}"
        [ -n "${!name:-}" ] || export "${line?}"
    done < <("$venv/bin/python" -m pip config list | "$venv/bin/python" deploy/uv_settings.py)
}

install_lock() { # lock file; the packages that it needs to be built come from another lock, so nothing is unhashed
    say "installing $1"
    if [ -x "$venv/bin/uv" ]; then
        if (give_uv_pips_settings; "$venv/bin/uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" --no-config \
            --no-build-isolation --no-deps --require-hashes --index-strategy unsafe-best-match -r "$1"); then
            return
        fi
        say "uv could not install $1; trying pip"
    fi
    pip_install --use-pep517 --require-hashes -r "$1"
}

install_uv() { # the first package: it fetches side by side and keeps what it unpacked; pip does the rest where it lacks
    pip_install --require-hashes --only-binary :all: -r requirements-uv.lock \
        || say "uv is not to be had here; pip installs everything"
}

set_up_base() {
    local python
    if ! python="$(find_python)"; then
        apt_install python3 python3-venv || true
        python="$(find_python)" || missing "there is no Python 3.11 or 3.12 that can make a virtual environment." \
            "install one (Debian 12: apt-get install python3 python3-venv), or name it: make setup PYTHON=/path/to/python3.11"
    fi
    java_home "$python" >/dev/null 2>&1 || apt_install openjdk-17-jre-headless || true
    java_home "$python" >/dev/null

    if ! { [ -x "$venv/bin/python" ] && usable "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }; then
        say "making $venv with $("$python" --version)"
        "$python" -m venv --clear "$venv"
    fi
    install_uv
    install_lock requirements-build.lock
    install_lock requirements.lock
    pip_install --no-index -e .
    # uv compiles packages where asked, pip always; without this every process with PYTHONDONTWRITEBYTECODE compiles ours
    "$venv/bin/python" -m compileall -q retail_spark
    say "fetching Delta's JAR and writing Spark's defaults"
    "$venv/bin/python" deploy/prefetch.py
    stamp requirements.lock requirements-build.lock requirements-uv.lock >"$venv/.set-up"
}

mkdir -p .make
if command -v flock >/dev/null; then
    exec 9>.make/setup.lock
    flock 9
fi
is_set_up "$venv/.set-up" requirements.lock requirements-build.lock requirements-uv.lock || set_up_base
if [ "$what" = grocery ] && ! is_set_up "$venv/.set-up-grocery" requirements-grocery.lock; then
    install_lock requirements-grocery.lock
    stamp requirements-grocery.lock >"$venv/.set-up-grocery"
fi
