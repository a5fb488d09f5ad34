# shellcheck shell=bash disable=SC2034
# What the scripts in ops/ and tests/ share. Source it; it defines functions and two paths.

MR_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
MR_BUILD=${MILLRACE_BUILD:-$MR_ROOT/build}

say() { printf '%s\n' "$*" >&2; }

die() {
    say "${0##*/}: $*"
    exit 1
}

is_root() { [ "$(id -u)" -eq 0 ]; }

# Runs a command as root: directly, or with sudo.
as_root() {
    if is_root; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        die "this needs root: install sudo, or run as root: $*"
    fi
}

# Runs a command as another user when we are root, as ourselves otherwise. `-` is ourselves.
as_user() {
    local user=$1
    shift
    if [ "$user" = - ] || ! is_root; then
        "$@"
    else
        setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups -- "$@"
    fi
}

random_word() { head -c 24 /dev/urandom | base64 -w0 | tr '+/' '-_'; }

# A process is named by pid and start time, so that a number used again by a stranger is never
# taken for ours.
start_time() {
    local stat
    local -a field
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    read -r -a field <<<"${stat##*) }"
    [ "${field[0]}" != Z ] || return 1
    printf '%s' "${field[19]}"
}

pid_save() { # FILE PID
    local started
    started=$(start_time "$2") || return 1
    printf '%s %s\n' "$2" "$started" >"$1"
}

# Prints the pid in FILE if that very process still lives.
pid_of() {
    local pid started
    [ -r "$1" ] && read -r pid started <"$1" && [ "$(start_time "$pid")" = "$started" ] &&
        printf '%s' "$pid"
}

# Ends the process in FILE: SIGTERM (or $3), and SIGKILL after $2 seconds.
pid_end() {
    local file=$1 tenths=$(($2 * 10)) signal=${3:-TERM} pid
    if pid=$(pid_of "$file"); then
        kill "-$signal" "$pid" 2>/dev/null || true
        while [ "$tenths" -gt 0 ] && pid_of "$file" >/dev/null; do
            sleep 0.1
            tenths=$((tenths - 1))
        done
        if pid=$(pid_of "$file"); then
            say "process $pid does not stop, killing it"
            kill -KILL "$pid" 2>/dev/null || true
        fi
    fi
    rm -f "$file"
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Whether no other stack has chosen this port. One whose service is down for a moment still has it,
# so the choice is written down, and holds for as long as the stack's state directory is there.
claim_port() { # PORT
    local file=/tmp/millrace-ports/$1 owner
    [ -d /tmp/millrace-ports ] || mkdir -m 1777 /tmp/millrace-ports 2>/dev/null || return 0
    (umask 022 && set -C && echo "$STATE" >"$file") 2>/dev/null && return 0
    owner=$(cat "$file" 2>/dev/null) || return 0
    [ ! -d "$owner" ] || return 1
    rm -f "$file" 2>/dev/null && (umask 022 && set -C && echo "$STATE" >"$file") 2>/dev/null
}

release_ports() {
    local file
    for file in /tmp/millrace-ports/*; do
        [ "$(cat "$file" 2>/dev/null)" != "$STATE" ] || rm -f "$file"
    done
    rmdir /tmp/millrace-ports 2>/dev/null || true
}

# Prints a loopback port nobody listens on, below the kernel's range for outgoing connections.
free_port() {
    local port try
    for try in {1..200}; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        if ! port_open "$port" && claim_port "$port"; then
            printf '%s' "$port"
            return 0
        fi
    done
    die "no free port found after $try tries"
}
