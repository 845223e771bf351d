# Shared by the scripts beside it: paths, progress, and saying plainly what went wrong.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$ROOT/build
export NO_COLOR=1 # logs are shown as they are
mkdir -p "$BUILD/logs" "$BUILD/stamps"

# step WHAT LOG COMMAND…: run quietly, say how long it took; show the end of the log when it fails.
step() {
  local what=$1 log=$BUILD/logs/$2 started=$SECONDS
  shift 2
  printf '→ %s …' "$what"
  if "$@" >"$log" 2>&1 </dev/null; then
    printf '  done (%d s)\n' $((SECONDS - started))
    return
  fi
  printf '  failed (%d s)\n' $((SECONDS - started))
  tail -n 20 "$log" | sed 's/^/  | /'
  printf 'The whole log: %s\n' "$log"
  return 1
}

# hash FILE…: one hash of the files' names and contents.
hash() { sha256sum "$@" | sha256sum | cut -c1-20; }

# A private virtual environment for the tools that build the project (uv, Node.js where the machine has none).
tools_python() {
  if [ ! -x "$BUILD/tools/bin/pip" ]; then
    step "making an environment for the build tools" tools.log "$(python)" -m venv "$BUILD/tools" >&2
  fi
  printf '%s\n' "$BUILD/tools/bin/python"
}

# The machine's Python; 3.11 or newer.
python() {
  local candidate
  for candidate in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  echo "Python 3.11 or newer with its venv module is needed: apt-get install python3 python3-venv" >&2
  return 1
}
