# shellcheck shell=bash
# The private PostgreSQL of ops/stack. Needs lib/common.sh and the variables of ops/stack.

DB_ROLES=(owner worker producer reader)

db_bin() {
    local version='*' dir
    [ ! -f "$DATA/database/PG_VERSION" ] || version=$(cat "$DATA/database/PG_VERSION")
    # shellcheck disable=SC2086
    dir=$(printf '%s\n' /usr/lib/postgresql/$version/bin | sort -V | tail -n 1)
    if [ -x "$dir/postgres" ]; then
        printf '%s' "$dir"
    elif [ "$version" = '*' ] && command -v pg_config >/dev/null && [ -x "$(pg_config --bindir)/postgres" ]; then
        pg_config --bindir
    else
        die "PostgreSQL's server programs are missing: run ops/deps run"
    fi
}

db_user() { is_root && echo postgres || echo -; }

# Runs SQL from standard input as the superuser; arguments go to psql.
db_admin() {
    PGPASSFILE="$SECRETS/pgpass" psql -X -q -h 127.0.0.1 -p "$DB_PORT" -U postgres \
        -v ON_ERROR_STOP=1 "$@"
}

# initdb into a side directory and rename, so that an interrupted one is never used.
db_create() {
    local bin user pwfile
    bin=$(db_bin)
    user=$(db_user)
    rm -rf "$DATA/database.new"
    make_dir "$DATA/database.new" "$user"
    pwfile=$DATA/database.new.pw
    secret pg_admin >"$pwfile"
    [ "$user" = - ] || chown "$user" "$pwfile"
    (cd "$DATA" && as_user "$user" env LC_ALL=C.UTF-8 "$bin/initdb" -D "$DATA/database.new" -U postgres \
        --pwfile="$pwfile" --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8) \
        >"$STATE/log/initdb.log" 2>&1 || die "initdb failed, see $STATE/log/initdb.log"
    rm -f "$pwfile"
    cat >>"$DATA/database.new/postgresql.conf" <<CONF
# ops/stack: loopback only, passwords only; fsync stays on
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 200
shared_buffers = '128MB'
max_wal_size = '2GB'
cluster_name = 'millrace'
log_line_prefix = '%m [%p] %u@%d '
log_lock_waits = on
CONF
    mv "$DATA/database.new" "$DATA/database"
}

# A killed server leaves its lock file, and PostgreSQL takes the number in it for a live server as
# long as nobody has reaped that process (in a container maybe never). The file goes once no living
# process works in the data directory any more.
db_unlock() {
    local file=$DATA/database/postmaster.pid dir pid
    [ -f "$file" ] || return 0
    start_time "$(head -n 1 "$file")" >/dev/null && return 0
    for dir in /proc/[0-9]*; do
        pid=${dir#/proc/}
        if [ "$(readlink "$dir/cwd" 2>/dev/null)" = "$DATA/database" ] && start_time "$pid" >/dev/null; then
            return 1
        fi
    done
    rm -f "$file"
}

db_start() {
    local bin user log=$DATA/database.log
    pid_of "$STATE/database.pid" >/dev/null && return 0
    wait_for 300 db_unlock || die "the old database server's processes do not end"
    [ -f "$DATA/database/PG_VERSION" ] || db_create
    bin=$(db_bin)
    user=$(db_user)
    touch "$log"
    [ "$user" = - ] || chown "$user" "$log"
    (cd "$DATA" && as_user "$user" env LC_ALL=C.UTF-8 "$bin/pg_ctl" -D "$DATA/database" -l "$log" -w -t 120 -s \
        -o "-c port=$DB_PORT" start) </dev/null >/dev/null 2>&1 9>&- || return 1
    pid_save "$STATE/database.pid" "$(head -n 1 "$DATA/database/postmaster.pid")"
}

# The roles with a login and a password each, and an empty database that `millrace init` fills.
# owner owns the database and nothing else; the others get their rights from `millrace init`.
# May be run again. Needs the function `secret`.
db_setup_sql() {
    local role
    for role in "${DB_ROLES[@]}"; do
        printf "SELECT 'CREATE ROLE millrace_%s' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'millrace_%s')\\\\gexec\n" \
            "$role" "$role"
        printf "ALTER ROLE millrace_%s LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '%s';\n" \
            "$role" "$(secret "pg_$role")"
    done
    cat <<'SQL'
SELECT 'CREATE DATABASE millrace OWNER millrace_owner' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'millrace')\gexec
REVOKE ALL ON DATABASE millrace FROM PUBLIC;
GRANT CONNECT ON DATABASE millrace TO millrace_worker, millrace_producer, millrace_reader;
ALTER DATABASE millrace SET search_path = millrace, public;
SQL
}

db_setup() {
    [ ! -f "$STATE/database.ready" ] || return 0
    db_setup_sql | db_admin postgres
    touch "$STATE/database.ready"
}

db_stop() { pid_end "$STATE/database.pid" 60 INT; } # INT: "fast", waits for no client

# The server and all its children, for SIGSTOP and SIGCONT.
db_pids() {
    local pid
    pid=$(pid_of "$STATE/database.pid") || return 0
    printf '%s\n' "$pid"
    pgrep -P "$pid" || true
}
