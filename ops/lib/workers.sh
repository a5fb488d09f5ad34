# shellcheck shell=bash
# The workers of ops/stack, in the background. Needs lib/common.sh and the variables of ops/stack.

workers() {
    local want=${1:-} i pid file
    [[ $want =~ ^[0-9]{1,3}$ ]] || die "how many workers? ops/stack workers N"
    want=$((10#$want))
    [ "$want" -eq 0 ] || worker_check "no worker was started"
    for file in "$STATE"/worker-*.pid; do
        [ -f "$file" ] || continue
        i=${file##*-}
        [ "${i%.pid}" -le "$want" ] || ! pid=$(pid_of "$file") || kill -TERM "$pid"
    done
    for file in "$STATE"/worker-*.pid; do
        [ -f "$file" ] || continue
        i=${file##*-}
        [ "${i%.pid}" -le "$want" ] || pid_end "$file" 90
    done
    for ((i = 1; i <= want; i++)); do
        file=$STATE/worker-$i.pid
        pid_of "$file" >/dev/null || worker_start "$i" "$file"
    done
    [ "$want" -eq 0 ] || workers_await "$want"
}

# What makes a program a worker of this stack: env, so that its pid is the program's own.
worker_env() {
    WORKER_ENV=(env "MILLRACE_CONFIG=$STATE/millrace.cfg" MILLRACE_BROKER_USER=millrace_worker
        "MILLRACE_BROKER_PASSWORD_FILE=$SECRETS/broker_worker")
}

# In the foreground, so that what is wrong is said here and not in a log.
worker_check() { # WHAT DID NOT HAPPEN
    local program=$MR_BUILD/worker/millrace-worker
    [ -x "$program" ] || die "$program is missing: build it first (ninja -C build)"
    worker_env
    "${WORKER_ENV[@]}" "$program" --check >/dev/null || die "$1: mend the configuration first"
}

worker_start() { # NUMBER PIDFILE
    worker_env
    "${WORKER_ENV[@]}" setsid "$MR_BUILD/worker/millrace-worker" </dev/null >>"$STATE/log/worker-$1.log" 2>&1 9>&- &
    pid_save "$2" $! || die "worker $1 does not start, see $STATE/log/worker-$1.log"
    say "worker $1: log in $STATE/log/worker-$1.log"
}

# A worker is ready once its row is in the database: from then on it takes jobs, and signals.
workers_await() { # COUNT
    if ! pid_of "$STATE/database.pid" >/dev/null; then
        say "the database is down: the workers wait for it (ops/stack up)"
    elif [ "$(workers_ask "to_regclass('millrace.worker_overview') IS NOT NULL")" != t ]; then
        say "the database is empty: the workers wait for it to be set up (millrace init)"
    else
        wait_for 600 workers_settled "$1" ||
            die "not every worker is ready after a minute: see $STATE/log/worker-*.log"
    fi
}

# Whether they are ready. One that has ended will never be.
workers_settled() { # COUNT
    local i pid pids=''
    for ((i = 1; i <= $1; i++)); do
        pid=$(pid_of "$STATE/worker-$i.pid") || die "worker $i has ended: see $STATE/log/worker-$i.log"
        pids+=${pids:+,}$pid
    done
    [ "$(workers_ask "count(DISTINCT pid) FROM millrace.worker_overview WHERE alive AND pid IN ($pids)")" = "$1" ]
}

workers_ask() { echo "SELECT $1;" | PGDATABASE=millrace db_admin -At 2>/dev/null || true; }

# SIGHUP, and what each of them says to it.
reload() {
    local file i pid log
    local -a from=()
    worker_check "no worker was told"
    for file in "$STATE"/worker-*.pid; do
        pid=$(pid_of "$file") || continue
        i=${file##*-}
        i=${i%.pid}
        log=$STATE/log/worker-$i.log
        from[i]=$(stat -c %s "$log")
        kill -HUP "$pid"
    done
    [ ${#from[@]} -gt 0 ] || die "no worker runs: ops/stack workers N"
    for i in "${!from[@]}"; do
        log=$STATE/log/worker-$i.log
        # Below the level "info" the log does not tell that all went well.
        wait_for 50 reload_told "$log" "${from[i]}" || true
        reload_words "$log" "${from[i]}" | sed "s/^/worker $i: /" >&2
    done
}

reload_lines() { # LOG FROM
    tail -c "+$(($2 + 1))" "$1" | grep -E '"event":"reload\.'
}

reload_told() { reload_lines "$@" | grep -qE '"event":"reload\.(done|refused)"'; }

reload_words() { # LOG FROM
    reload_lines "$@" | sed -E 's/^.*"event":"([^"]*)",?/\1 /; s/\}$//' || echo "told, see $1"
}
