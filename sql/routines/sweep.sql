-- What dead workers leave behind, and what has become too old. Every worker asks for it now and
-- then; one at a time does it. It waits for nobody.
--
-- A worker's call is open at most for its time-out after the worker's last sign of life, and no
-- call may take longer than ten minutes: that bounds the look into calls. Returns what the calls it
-- has turned ambiguous may have cost.
create function sweep(p_worker bigint, p_dead_after_ms bigint) returns bigint
language plpgsql volatile security definer
set search_path = millrace, pg_temp set jit = off as $$
declare
    w record;
    v_lost numeric := 0;
    v_cost numeric;
begin
    if not pg_try_advisory_xact_lock(1835625580, 0) then -- no worker has the id 0
        return 0;
    end if;
    lock table calls in row exclusive mode;
    for w in
        select id, heartbeat_at from workers where swept_at is null and id <> p_worker
            and (stopped_at is not null or heartbeat_at < now()
                - make_interval(secs => p_dead_after_ms * 0.001))
            order by id limit 100
    loop
        continue when worker_alive(w.id, p_worker, make_interval(secs => p_dead_after_ms * 0.001));
        with gone as (
            select c.id from calls c
                where c.started_at > w.heartbeat_at - interval '15 minutes'
                    and c.worker = w.id and c.state = 'open' and c.expires_at <= now()
                for update skip locked
        ), ended as (
            update calls c set state = 'ambiguous', cost_pico = c.hold_pico, class = 'ambiguous',
                message = 'the worker was gone before the answer came', settled_at = now()
                from gone g where c.id = g.id
                returning c.cost_pico
        )
        select coalesce(sum(e.cost_pico), 0) into v_cost from ended e;
        v_lost := v_lost + v_cost;
        delete from breakers where worker = w.id;
        -- Calls that are not due yet, or that somebody is just ending, are for the next time.
        update workers set swept_at = now() where id = w.id and not exists (
            select from calls c where c.started_at > w.heartbeat_at - interval '15 minutes'
                and c.worker = w.id and c.state = 'open');
    end loop;
    -- Nobody has called there since: it may not even be configured any more.
    delete from breakers where greatest(since, until) < now() - interval '1 day';
    -- Pending ones are taken over when they are asked for; those nobody asks for go here.
    with old as (
        select tenant, key from answers where expires_at < now() - interval '10 minutes'
            order by expires_at limit 1000 for update skip locked
    )
    delete from answers a using old o where a.tenant = o.tenant and a.key = o.key;
    return least(v_lost, 9223372036854775807);
end $$;

-- The state of endpoints' breakers, as this worker sees it; a closed one needs no row. Of several
-- words about one endpoint the last counts.
create function note_breakers(p_worker bigint, p_provider text[], p_endpoint text[],
    p_state text[], p_until_ms bigint[], p_why text[])
returns void language sql volatile security definer
set search_path = millrace, pg_temp as $$
    with last as materialized (
        select distinct on (u.provider, u.endpoint) u.*
        from unnest(p_provider, p_endpoint, p_state, p_until_ms, p_why) with ordinality
            u (provider, endpoint, state, until_ms, why, ord)
        order by u.provider, u.endpoint, u.ord desc
    ), closed as (
        delete from breakers b using last l
            where l.state = 'closed' and b.worker = p_worker and b.provider = l.provider
                and b.endpoint = l.endpoint
    )
    insert into breakers as b (worker, provider, endpoint, state, until, why)
        select p_worker, l.provider, l.endpoint, l.state,
            to_timestamp(nullif(l.until_ms, 0) * 0.001), l.why
        from last l
        where l.state <> 'closed'
        on conflict (worker, provider, endpoint) do update set state = excluded.state,
            until = excluded.until, why = coalesce(excluded.why, b.why),
            since = case when b.state = excluded.state then b.since else now() end;
$$;
