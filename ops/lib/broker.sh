# shellcheck shell=bash disable=SC2034
# The private RabbitMQ of ops/stack. Needs lib/common.sh and the variables of ops/stack.
# Everything it is told comes from files in the state directory: /etc/rabbitmq is never read.

BROKER_ROLES=(admin worker producer)
# A long node name with an address in it needs neither DNS nor /etc/hosts.
BROKER_NODE=millrace@127.0.0.1

broker_bin() {
    local dir
    for dir in /usr/lib/rabbitmq/bin "$(dirname "$(command -v rabbitmq-server || echo /)")"; do
        if [ -x "$dir/rabbitmq-server" ]; then
            printf '%s' "$dir"
            return 0
        fi
    done
    die "RabbitMQ is missing: run ops/deps run"
}

broker_user() { is_root && echo rabbitmq || echo -; }

# Debian's wrapper insists on the user rabbitmq and on /var/lib/rabbitmq, so the scripts behind it
# are called.
broker_env() {
    local home=$DATA/broker
    (cd "$home" && as_user "$(broker_user)" env -i PATH="$PATH" HOME="$home" LANG=C.UTF-8 \
        ERL_EPMD_PORT="$EPMD_PORT" ERL_EPMD_ADDRESS=127.0.0.1 ERL_CRASH_DUMP_SECONDS=0 \
        RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf" \
        RABBITMQ_ADVANCED_CONFIG_FILE="$home/advanced.config" \
        RABBITMQ_ENABLED_PLUGINS_FILE="$home/enabled_plugins" \
        RABBITMQ_NODENAME="$BROKER_NODE" RABBITMQ_USE_LONGNAME=true \
        RABBITMQ_DIST_PORT="$DIST_PORT" RABBITMQ_MNESIA_BASE="$home/mnesia" \
        RABBITMQ_LOG_BASE="$home/log" RABBITMQ_ALLOW_INPUT=1 \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-noinput -kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none" \
        RABBITMQ_CTL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
        "$@")
}

# base64(salt + sha256(salt + password)), as RabbitMQ stores it.
broker_hash() {
    local salt sum
    salt=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
    sum=$({
        printf '%b' "$(printf '%s' "$salt" | sed 's/../\\x&/g')"
        printf '%s' "$1"
    } | sha256sum | cut -c1-64)
    printf '%b' "$(printf '%s' "$salt$sum" | sed 's/../\\x&/g')" | base64 -w0
}

json_user() { # ROLE TAG CONFIGURE WRITE READ -> a user and its permissions
    local name=millrace_$1
    users+="${users:+,}{\"name\":\"$name\",\"password_hash\":\"$(broker_hash "$(secret "broker_$1")")\","
    users+="\"hashing_algorithm\":\"rabbit_password_hashing_sha256\",\"tags\":\"$2\"}"
    perms+="${perms:+,}{\"user\":\"$name\",\"vhost\":\"/\",\"configure\":\"$3\",\"write\":\"$4\",\"read\":\"$5\"}"
}

json_policy() { # NAME PATTERN DEFINITION
    policies+="${policies:+,}{\"vhost\":\"/\",\"name\":\"$1\",\"pattern\":\"$2\",\"apply-to\":\"queues\","
    policies+="\"priority\":10,\"definition\":{$3}}"
}

# Users, permissions and policies, imported when the node boots, before it listens: there is never
# a moment with a guest account. A worker may only consume lanes and publish; a producer may only
# publish jobs, read the dead letters and watch events through queues of its own.
broker_definitions() {
    local users='' perms='' policies='' own='amq[.]gen-.*|millrace[.](wait|watch)[.].*' endless=''
    local lane='millrace[.].+[.](high|normal|low)[.][0-9]+' tier='millrace[.]delay[.][0-9]+[smh]'
    json_user admin administrator '.*' '.*' '.*'
    json_user worker '' '^$' "^(millrace[.](jobs|dead|events)|$tier)\$" "^$lane\$"
    json_user producer '' "^($own)\$" "^(millrace[.]jobs|$own)\$" \
        "^(millrace[.](jobs|events|dead)|$own)\$"
    # 3.10 has no limit unless told; 4.x has 20 and counts looks at a dead letter, so it is lifted.
    broker_is_3 || endless='"delivery-limit":-1,'
    json_policy millrace-lanes "^$lane\$" \
        '"delivery-limit":1000,"max-length":2500000,"overflow":"reject-publish"'
    json_policy millrace-delay "^$tier\$" '"max-length":5000000,"overflow":"reject-publish"'
    json_policy millrace-dead '^millrace[.]dead$' \
        "$endless\"max-length\":5000000,\"overflow\":\"reject-publish\""
    printf '{"users":[%s],"vhosts":[{"name":"/"}],"permissions":[%s],"policies":[%s],' \
        "$users" "$perms" "$policies"
    printf '"parameters":[],"topic_permissions":[],"global_parameters":[],"queues":[],"exchanges":[],"bindings":[]}\n'
}

broker_is_3() { compgen -G "$(broker_bin)/../lib/rabbitmq_server-3.*" >/dev/null; }

broker_configure() {
    local home=$DATA/broker user
    user=$(broker_user)
    make_dir "$home" "$user"
    if [ ! -f "$home/.erlang.cookie" ]; then
        random_word | tr -d '_-' >"$home/.erlang.cookie"
        chmod 400 "$home/.erlang.cookie"
    fi
    [ -f "$home/definitions.json" ] || {
        broker_definitions >"$home/definitions.json.new"
        mv "$home/definitions.json.new" "$home/definitions.json"
    }
    echo '[].' >"$home/enabled_plugins"
    # Queue counts are at most a second old, instead of five. A job whose delay ends while its lane
    # is full is offered again after ten seconds, instead of three minutes.
    echo '[{rabbit, [{quorum_tick_interval, 1000},' \
        '{dead_letter_worker_publisher_confirm_timeout, 10000}]}].' >"$home/advanced.config"
    cat >"$home/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$BROKER_PORT
load_definitions = $home/definitions.json
disk_free_limit.absolute = 200MB
log.console = false
log.file = broker.log
log.file.level = info
CONF
    [ "$user" = - ] || chown "$user" "$home"/.erlang.cookie "$home"/*.json "$home"/*.conf \
        "$home"/enabled_plugins "$home"/advanced.config
}

epmd_start() {
    pid_of "$STATE/epmd.pid" >/dev/null && return 0
    broker_env setsid epmd -address 127.0.0.1 -port "$EPMD_PORT" </dev/null \
        >"$STATE/log/epmd.log" 2>&1 9>&- &
    # The subshell, env, setpriv and setsid all become epmd by exec or wait for it; find the real one.
    wait_for 100 epmd_find || {
        say "epmd does not start, see $STATE/log/epmd.log"
        return 1
    }
}

# The process with our port in its command line that this state directory's user runs.
epmd_find() {
    local pid
    pid=$(pgrep -f "^epmd -address 127.0.0.1 -port $EPMD_PORT\$" | head -n 1) && [ -n "$pid" ] &&
        port_open "$EPMD_PORT" && pid_save "$STATE/epmd.pid" "$pid"
}

broker_find() {
    local file=$DATA/broker/mnesia/$BROKER_NODE.pid pid
    [ -s "$file" ] && pid=$(tr -dc 0-9 <"$file") && pid_save "$STATE/broker.pid" "$pid"
}

# Boots the node; ready once it listens, because definitions are in by then.
broker_start() {
    pid_of "$STATE/broker.pid" >/dev/null && return 0
    broker_configure
    epmd_start || return 1
    rm -f "$DATA/broker/mnesia/$BROKER_NODE.pid"
    broker_env setsid "$(broker_bin)/rabbitmq-server" </dev/null >"$STATE/log/broker.out" 2>&1 9>&- &
    local launcher=$!
    for _ in {1..1200}; do
        broker_find && port_open "$BROKER_PORT" && return 0
        kill -0 "$launcher" 2>/dev/null || break
        sleep 0.1
    done
    say "RabbitMQ does not start, see $STATE/log/broker.out and $DATA/broker/log"
    tail -n 20 "$STATE/log/broker.out" >&2
    return 1
}

broker_stop() { pid_end "$STATE/broker.pid" 60; }
epmd_stop() { pid_end "$STATE/epmd.pid" 5; }
