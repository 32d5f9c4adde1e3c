# Sourced by the scripts: makes .venv agree with requirements.lock and pyproject.toml, and puts its programs on PATH.
# Set-up output goes to stderr; nothing is done (about 20 ms) while the stamp matches; concurrent calls wait for the first.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
venv=$root/.venv
export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
# uv and the tools keep their caches below HOME; a HOME that cannot be written must not stop the set-up
[ -w "${XDG_CACHE_HOME:-$HOME}" ] || export XDG_CACHE_HOME=$venv/cache

refuse() { # exit code (2 usage, 4 the environment failed before anything began), what, because, way out
    printf 'error: %s\n  because: %s\n  way out: %s\n' "${@:2}" >&2
    exit "$1"
}

python_candidates() { # most wanted first: the caller's choice, PATH, then pyenv's own folders
    local name shims
    [ -z "${HOLDFAST_PYTHON:-}" ] || echo "$HOLDFAST_PYTHON"
    for name in python3 python3.12 python3.11; do type -aP "$name"; done
    shims=$(type -aP python3 | grep -m1 '/shims/' || true)
    ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[12].*/bin/python3 ${shims:+"${shims%/shims/*}"/versions/3.1[12].*/bin/python3} 2>/dev/null
}

make_venv() { # an existing one is kept, whatever made it, if its Python runs
    local python
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 && return
    while read -r python; do
        "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null || continue
        "$python" -m venv "$venv" >&2 && return
    done < <(python_candidates)
    refuse 4 "no Python environment in $venv" "no Python 3.11 or 3.12 with venv was found on PATH or in pyenv" \
        "install one (Debian: apt install python3.11-venv; pyenv install 3.12), or name it: HOLDFAST_PYTHON=/path/to/python3.12"
}

fetch_uv() { # the locked version, by pip, hash checked
    [ -x "$venv/bin/uv" ] && return
    awk '/^[^ #]/ { wanted = /^uv==/ } wanted' "$root/requirements.lock" >"$venv/uv.lock"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r "$venv/uv.lock" >&2
}

pip_setting() { "$venv/bin/python" -m pip config list 2>/dev/null | sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" | tail -1; }

follow_pip() { # uv does not read pip's settings: an index mirror or a certificate bundle set there counts here too
    local index cert
    index=$(pip_setting index-url) cert=$(pip_setting cert)
    [ -z "$index" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
    [ -z "$cert" ] || export SSL_CERT_FILE=${SSL_CERT_FILE:-$cert}
}

install() { # wheels only: a package that would compile or download while it installs is refused
    local uv=("$venv/bin/uv" pip install --quiet --compile-bytecode --python "$venv/bin/python")
    "${uv[@]}" --only-binary :all: --require-hashes -r "$root/requirements.lock" >&2 &&
        "${uv[@]}" --no-deps --no-build-isolation --editable "$root" >&2
}

stamp() { { cat "$root/requirements.lock" "$root/pyproject.toml" "$venv/pyvenv.cfg" && echo "$root"; } | sha256sum; }
is_set_up() { [ -x "$venv/bin/holdfast" ] && [ -x "$venv/bin/python" ] && [ "$(stamp)" = "$(cat "$venv/stamp" 2>/dev/null)" ]; }

set_up() (
    mkdir -p "$venv" && exec 9>"$venv/setup.lock" && flock 9 || refuse 4 "cannot write $venv" "see the message above" "make the checkout writable for $(id -un)"
    is_set_up && return
    echo "setting up $venv from requirements.lock" >&2
    make_venv
    fetch_uv && follow_pip && install || refuse 4 "set-up of $venv failed" "a package could not be installed; the message above names it" \
        "check the network and pip's index settings, then run the same command again; if $venv is damaged, delete it first"
    stamp >"$venv/stamp"
)

is_set_up 2>/dev/null || set_up || exit
export PATH=$venv/bin:$PATH VIRTUAL_ENV=$venv
