#!/usr/bin/env bash
# Make the virtual environment .venv and install the package into it, once.
#
#   tools/setup.sh PYTHON EXTRAS      PYTHON may be empty: then the newest that works is taken
#
# A stamp in .venv holds a digest of everything the result depends on; while it matches, nothing is done.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted_python=$1
extras=$2
venv=.venv
stamp="$venv/.installed-${extras//,/-}"
digest=$({ pwd; echo "$wanted_python"; cat pyproject.toml tools/setup.sh; } | sha256sum | cut -d' ' -f1)

say() { echo "setup: $*" >&2; }
stop() { say "$*"; exit 1; }

# Two calls at the same time wait for each other; the lock goes with the process.
exec 9<pyproject.toml
flock 9

if [[ -f $stamp && $(<"$stamp") == "$digest" ]] && "$venv/bin/python" -c '' 2>/dev/null; then
    exit 0
fi

# --- system packages ---------------------------------------------------------------------------------
install_system_packages() {
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        say "installing with apt: $*"
        apt-get update -q >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2
    else
        stop "missing on this system: $* (Debian and Ubuntu: sudo apt-get install $*); then repeat the command"
    fi
}

# --- a Python that works -----------------------------------------------------------------------------
# Found is not enough: the shims of version managers exist and fail, and Debian splits off `ensurepip`.
is_supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}
can_make_venv() {
    "$1" -c 'import ctypes, ensurepip, sqlite3, ssl, venv, zlib' >/dev/null 2>&1
}

# Every executable of these names on the path, newest version first.
candidates() {
    if [[ -n $wanted_python ]]; then
        command -v "$wanted_python" || true
    else
        type -aP python3.13 python3.12 python3.11 python3 || true
    fi
}

# The real interpreters behind them, each once.
working_pythons() {
    local python
    while read -r python; do
        if is_supported "$python" && can_make_venv "$python"; then
            "$python" -c 'import os, sys; print(os.path.realpath(sys.executable))'
        fi
    done < <(candidates) | awk '!seen[$0]++'
}

# The apt packages that would make one of the candidates work.
python_packages() {
    local python
    while read -r python; do
        if is_supported "$python"; then
            "$python" -c 'import sys; print("python{}.{}-venv".format(*sys.version_info[:2]))'
            return
        fi
    done < <(candidates)
    echo python3 python3-venv
}

missing=()
command -v g++ >/dev/null || missing+=(g++)
command -v gfortran >/dev/null || missing+=(gfortran)
command -v make >/dev/null || missing+=(make)
if [[ -z $(working_pythons) ]]; then
    [[ -z $wanted_python ]] || command -v "$wanted_python" >/dev/null || stop "PYTHON=$wanted_python is not found"
    [[ -z $wanted_python ]] || is_supported "$wanted_python" || stop "PYTHON=$wanted_python is not Python 3.11-3.13"
    read -ra packages <<<"$(python_packages)"
    missing+=("${packages[@]}")
fi
if ((${#missing[@]})); then
    install_system_packages "${missing[@]}"
fi
# The tests run a real Slurm and a real PostgreSQL; without them those tests say that they are skipped.
services_missing() {
    command -v slurmctld >/dev/null || echo slurmctld
    command -v slurmd >/dev/null || echo slurmd
    command -v sbatch >/dev/null || echo slurm-client
    command -v munged >/dev/null || echo munge
    command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || echo postgresql
}
if [[ ,$extras, == *,test,* ]]; then
    mapfile -t services < <(PATH="$PATH:/usr/sbin:/sbin" services_missing)
    if ((${#services[@]})); then
        if [[ $(id -u) == 0 ]]; then
            install_system_packages "${services[@]}"
        else
            say "the tests of clusters and databases are skipped without: ${services[*]}"
        fi
    fi
fi
mapfile -t pythons < <(working_pythons)
((${#pythons[@]})) || stop "no Python 3.11, 3.12 or 3.13 that can make a virtual environment; name one with PYTHON=..."

# --- the environment ---------------------------------------------------------------------------------
# CosmoSIS is built from source with its data block only: the nested samplers in Fortran are not needed.
# `make -e` lets SUBDIRS of the environment win over its makefiles; compiler flags of the user, or the
# job server of a `make -j` that called this script, must not reach that build. Its makefiles call
# `python`, a name that Debian does not have: the one of the environment is put first on the path.
pip_install() {
    env -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES \
        -u CC -u CXX -u FC -u CFLAGS -u CXXFLAGS -u FFLAGS -u CPPFLAGS -u LDFLAGS -u CONDA_PREFIX -u PYTHONPATH \
        MAKEFLAGS=e SUBDIRS=datablock PATH="$PWD/$venv/bin:$PATH" PIP_DISABLE_PIP_VERSION_CHECK=1 \
        "$venv/bin/python" -m pip install --quiet "$@"
}

# An environment made in another place or with another Python is not reused.
make_venv() {
    local made_with="$PWD $1"
    if [[ -f $venv/.made_with && $(<"$venv/.made_with") == "$made_with" ]] && "$venv/bin/python" -c '' 2>/dev/null
    then
        return
    fi
    "$1" -m venv --clear "$venv" >&2 && echo "$made_with" >"$venv/.made_with"
}

for python in "${pythons[@]}"; do
    say "installing into $venv with $("$python" --version) ($python); the first time takes one to two minutes"
    if make_venv "$python" && pip_install --editable ".[$extras]"; then
        echo "$digest" >"$stamp"
        say "done in $SECONDS s"
        exit 0
    fi
    say "the installation with $python failed"
done
stop "no Python here could install the package; the messages above say why"
