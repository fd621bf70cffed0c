# shellcheck shell=bash
# What the scripts beside this file share. Read with `source`, never run.

# Where cargo puts things; a person may have set it elsewhere.
# shellcheck disable=SC2034 # read by those that source this
TARGET="${CARGO_TARGET_DIR:-target}"

# A shell that was never logged in doesn't have rustup's folder on its path.
if ! command -v cargo >/dev/null && [ -x "${HOME:-/root}/.cargo/bin/cargo" ]; then
  PATH="${HOME:-/root}/.cargo/bin:$PATH"
fi

say() { printf '\033[1;36m▸\033[0m %s\n' "$*" >&2; }
warn() { printf '\033[1;33m! %s\033[0m\n' "$*" >&2; }
die() {
  printf '\033[1;31m✗\033[0m %s\n' "$*" >&2
  exit 1
}

# What a setting is in the environment, or else in `.env`, which the server reads by the same rule.
setting() {
  if [ -n "${!1+set}" ]; then
    printf '%s' "${!1}"
  elif [ -f .env ]; then
    sed -n "s/^[[:space:]]*\(export[[:space:]]\+\)\?$1[[:space:]]*=[[:space:]]*[\"']\?\([^\"'#[:space:]]*\).*/\2/p" .env | head -n 1
  fi
}
have() { command -v "$1" >/dev/null 2>&1; }

# version_at_least 20.19 v20.20.1
version_at_least() { [ "$(printf '%s\n%s\n' "$1" "${2#v}" | sort -V | head -n 1)" = "$1" ]; }

# A browser that can be driven: Ubuntu's `chromium-browser` package is a stub that asks for snap, so each is tried.
find_chromium() {
  local candidate
  for candidate in "${CHROMIUM_PATH:-}" chromium chromium-browser google-chrome-stable google-chrome microsoft-edge; do
    if [ -n "$candidate" ] && have "$candidate" && "$candidate" --version >/dev/null 2>&1; then
      command -v "$candidate"
      return 0
    fi
  done
  # Where `playwright-core install` puts its own.
  for candidate in "${XDG_CACHE_HOME:-${HOME:-/root}/.cache}"/ms-playwright/chromium*/*/*; do
    case "$candidate" in
      */chrome | */headless_shell | */chrome-headless-shell) [ -x "$candidate" ] && printf '%s\n' "$candidate" && return 0 ;;
    esac
  done
  return 1
}
