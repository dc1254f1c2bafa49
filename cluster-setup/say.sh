# shellcheck shell=bash
# Loud and timed: every line carries the seconds since the first script of this run began.

: "${LORIKEET_STARTED:=$(date +%s)}"
export LORIKEET_STARTED

say() { printf '%4ds  %s\n' "$(($(date +%s) - LORIKEET_STARTED))" "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

# quietly LOG COMMAND…: the output goes to LOG; its end is shown only when the command fails.
quietly() {
  local log=$1 status=0
  shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 || status=$?
  [[ $status -eq 0 ]] || {
    tail -n 40 "$log" >&2
    fail "'$(basename "$1")' failed with status $status; all of its output is in $log"
  }
}

# wait_for SECONDS WHAT COMMAND…: tries COMMAND every half second; says every 15 s that it still waits for WHAT.
wait_for() {
  local limit=$1 what=$2 began=$SECONDS told=$SECONDS
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS - began < limit)) || return 1
    ((SECONDS - told < 15)) || {
      told=$SECONDS
      say "still waiting for $what ($((SECONDS - began)) of at most $limit s)"
    }
    sleep 0.5
  done
}

# retry TIMES COMMAND…: tries again after 2, 4, 8, … at most 60 seconds; fails when the last try fails.
retry() {
  local times=$1 try pause=2
  shift
  for ((try = 1; try < times; try++)); do
    "$@" && return
    say "'$1' failed (try $try of $times), again in $pause s"
    sleep "$pause"
    pause=$((pause < 30 ? pause * 2 : 60))
  done
  "$@"
}

# in_background_all FUNCTION ARGUMENT…: runs FUNCTION once per argument, all at once; fails if one of them failed.
in_background_all() {
  local function=$1 argument pid pids=() status=0
  shift
  for argument in "$@"; do
    "$function" "$argument" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || status=$?; done
  return "$status"
}
