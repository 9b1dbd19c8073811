#!/usr/bin/env bash
# Installs what the tests of the feature `python` need, and prints what to export for them:
#
#   exports="$(environments/python/setup.sh)" && eval "$exports"
#   cargo test -p environments --features python --test python
set -euo pipefail
cd "$(dirname "$0")"

# Prints the folder of the interpreter's shared library, which is what gets embedded; fails without one.
library() {
    "$1" - 2>/dev/null <<'PYTHON'
import os, sys, sysconfig
folder, name = sysconfig.get_config_vars("LIBDIR", "LDLIBRARY")
if sys.version_info < (3, 10) or ".so" not in name or not os.path.exists(os.path.join(folder, name)):
    sys.exit(1)
print(folder)
PYTHON
}

python="${PYTHON:-python3}"
if ! folder="$(library "$python")"; then
    echo "$python cannot be embedded: installing Debian's" >&2
    apt-get update >&2
    apt-get install --yes --no-install-recommends python3-dev python3-venv >&2
    python=/usr/bin/python3
    folder="$(library "$python")"
fi

venv="${XDG_CACHE_HOME:-$HOME/.cache}/ray-ci/venv"
wanted="$("$python" -c 'import sys; print(sys.version, sys.prefix)') $(sha256sum requirements.txt)"
if [ ! -e "$venv/wanted" ] || [ "$(cat "$venv/wanted")" != "$wanted" ]; then
    "$python" -m venv --clear "$venv" >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements.txt >&2
    printf '%s\n' "$wanted" > "$venv/wanted"
fi

printf 'export PYO3_PYTHON=%q\n' "$venv/bin/python"
printf 'export VIRTUAL_ENV=%q\n' "$venv"
printf 'export LD_LIBRARY_PATH=%q\n' "$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
