-- The life of a worker. Its session holds an advisory lock: the lock is free the moment the process
-- or its connection dies. Classid 0x6d696c6c is "mill".

create function worker_lock(p_worker bigint) returns boolean language sql volatile
    return pg_try_advisory_lock(1835625580, (p_worker & 2147483647)::int);

-- Registers a process; its id stays the same across reconnects.
create function worker_start(p_name text, p_host text, p_pid int, p_pool text, p_version text)
    returns bigint language plpgsql volatile security definer
    set search_path = millrace, pg_temp as $$
declare
    v_id bigint;
begin
    insert into workers (name, host, pid, pool, version)
        values (p_name, p_host, p_pid, p_pool, p_version) returning id into v_id;
    perform worker_lock(v_id);
    return v_id;
end $$;

-- First thing on every later connection. False: no such worker here (another database): register.
create function worker_resume(p_worker bigint) returns boolean language plpgsql volatile
    security definer set search_path = millrace, pg_temp as $$
begin
    update workers set session_at = now(), heartbeat_at = now(), stopped_at = null,
        swept_at = null where id = p_worker;
    return found;
end $$;

-- Takes the lock where the session does not have it yet: the backend of a lost connection may hold
-- it a while, and so may a claim that is just looking.
create function worker_heartbeat(p_worker bigint) returns void language plpgsql volatile
    security definer set search_path = millrace, pg_temp as $$
begin
    if not exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()
            and classid = 1835625580 and objid = (p_worker & 2147483647)::oid
            and mode = 'ExclusiveLock') then
        perform worker_lock(p_worker);
    end if;
    update workers set heartbeat_at = now(), swept_at = null where id = p_worker;
end $$;

-- A clean end: its calls protect nothing any more.
create function worker_stop(p_worker bigint) returns void language plpgsql volatile
    security definer set search_path = millrace, pg_temp as $$
begin
    update workers set stopped_at = now() where id = p_worker;
    perform pg_advisory_unlock(1835625580, (p_worker & 2147483647)::int)
        where exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()
            and classid = 1835625580 and objid = (p_worker & 2147483647)::oid
            and mode = 'ExclusiveLock');
end $$;

-- Whether a worker may still be at work, in the eyes of another one.
create function worker_alive(p_worker bigint, p_judge bigint, p_dead_after interval)
    returns boolean language plpgsql volatile set search_path = millrace, pg_temp as $$
declare
    v_running boolean;
    v_recent boolean;
begin
    select w.stopped_at is null, greatest(w.heartbeat_at,
            (select j.session_at from workers j where j.id = p_judge)) > now() - p_dead_after
        into v_running, v_recent from workers w where w.id = p_worker;
    -- Shared: two who look at once do not take each other for the owner.
    return coalesce(v_running, false) and (v_recent
        or not pg_try_advisory_xact_lock_shared(1835625580, (p_worker & 2147483647)::int));
end $$;
