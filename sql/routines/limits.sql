-- Limits the fleet keeps together: requests and tokens a minute as buckets that fill by this
-- database's clock and hold a second's worth, and calls at once. A worker asks for many scopes in
-- one statement; their rows are locked in the order of their names, and nothing else is.
--
-- What is said of each scope: what the worker's configuration allows (0 = nothing is set), what it
-- wants, of that the tokens its first call needs at once, what it gives back (negative: it has used
-- more), its calls in flight and waiting, what has become of calls since it last asked, how long
-- the provider wants to be left alone, and what the provider's headers say (-1 = nothing).
-- Answered: requests, tokens and calls at once granted (-1 = there is no such limit), this worker's
-- share of a minute, when to ask again, and how long nobody may call.
--
-- What the configuration does not say is learned: requests and tokens a minute from headers, calls
-- at once from refusals. Those half the figure, once a second at most; so many successes as it
-- allows calls add one.
create function lease_limits(p_worker bigint, p_scope text[], p_rpm bigint[], p_tpm bigint[],
    p_concurrency int[], p_want_requests bigint[], p_want_tokens bigint[], p_head_tokens bigint[],
    p_back_requests bigint[], p_back_tokens bigint[], p_in_flight int[], p_waiting int[],
    p_successes int[], p_throttled int[], p_pause_ms bigint[], p_seen_rpm bigint[],
    p_seen_tpm bigint[])
returns table (ord int, requests bigint, tokens bigint, rpm_share bigint, tpm_share bigint,
    slots int, more_ms bigint, paused_ms bigint)
language plpgsql volatile security definer
set search_path = millrace, pg_temp set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
declare
    r record;
    l limits;
    u record; -- the other workers that use it
    v_now timestamptz;
    v_minutes double precision;
    v_burst double precision;
    v_flight int;
begin
    for r in
        select a.*, case when t.name is null then nullif(a.rpm, 0) else t.rpm end as set_rpm,
            case when t.name is null then nullif(a.tpm, 0) else t.tpm end as set_tpm,
            nullif(a.concurrency, 0) as most, k.scope is not null as known
        from unnest(p_scope, p_rpm, p_tpm, p_concurrency, p_want_requests, p_want_tokens,
            p_head_tokens, p_back_requests, p_back_tokens, p_in_flight, p_waiting, p_successes,
            p_throttled, p_pause_ms, p_seen_rpm, p_seen_tpm) with ordinality
            a (scope, rpm, tpm, concurrency, want_requests, want_tokens, head_tokens,
            back_requests, back_tokens, in_flight, waiting, successes, throttled, pause_ms,
            seen_rpm, seen_tpm, ord)
        left join tenants t on a.scope like 'tenant:%' and t.name = substr(a.scope, 8)
        left join limits k on k.scope = a.scope
        order by a.scope
    loop
        ord := r.ord;
        requests := -1;
        tokens := -1;
        rpm_share := -1;
        tpm_share := -1;
        slots := -1;
        more_ms := 0;
        paused_ms := 0;
        if not r.known and coalesce(r.set_rpm, r.set_tpm, r.most) is null
                and greatest(r.throttled, r.pause_ms, r.seen_rpm, r.seen_tpm) <= 0 then
            return next; -- as nearly always: nothing is known of it
            continue;
        end if;

        insert into limits (scope) values (r.scope) on conflict do nothing;
        select * into l from limits where scope = r.scope for update;
        v_now := clock_timestamp(); -- after the lock: nobody else's is later
        l.seen_rpm := case when r.seen_rpm > 0 then r.seen_rpm else l.seen_rpm end;
        l.seen_tpm := case when r.seen_tpm > 0 then r.seen_tpm else l.seen_tpm end;
        l.rpm := coalesce(r.set_rpm, l.seen_rpm);
        l.tpm := coalesce(r.set_tpm, l.seen_tpm);
        l.paused_until := greatest(l.paused_until,
            v_now + make_interval(secs => nullif(r.pause_ms, 0) * 0.001));
        l.throttled := l.throttled + r.throttled;
        paused_ms := greatest(0, ceil(extract(epoch from l.paused_until - v_now) * 1000));
        paused_ms := coalesce(paused_ms, 0);
        v_minutes := greatest(0, extract(epoch from v_now - l.refilled_at)) / 60;
        l.refilled_at := v_now;

        select count(*) filter (where o.in_flight + o.waiting > 0)::int + 1 as n,
            coalesce(sum(o.in_flight), 0)::int as in_flight,
            coalesce(sum(o.waiting), 0)::int as waiting, count(*) as seen into u
            from limit_users o where o.scope = r.scope and o.worker <> p_worker
                and o.asked_at > v_now - interval '5 seconds';

        -- Calls at once. Of workers that have not been heard of it is assumed that they do as this
        -- one does.
        v_flight := r.in_flight + r.throttled + u.in_flight;
        if r.throttled > 0 and (l.lowered_at is null
                or l.lowered_at < v_now - interval '1 second') then
            if l.concurrency is null and u.seen = 0 then
                v_flight := v_flight * greatest(1, (select count(*) from workers
                    where stopped_at is null and heartbeat_at > v_now - interval '10 seconds'));
            end if;
            l.concurrency := greatest(1, coalesce(l.concurrency, v_flight) / 2);
            l.lowered_at := v_now;
            l.successes := 0;
        elsif l.concurrency is not null and r.throttled = 0
                and 2 * (v_flight + r.waiting + u.waiting) >= l.concurrency then
            l.successes := l.successes + r.successes;
            while l.successes >= l.concurrency loop
                l.successes := l.successes - l.concurrency;
                l.concurrency := l.concurrency + 1;
            end loop;
        end if;
        if l.concurrency >= r.most or l.concurrency is null then
            l.concurrency := r.most;
            l.successes := 0;
        end if;
        l.learned := r.set_rpm is null and l.rpm is not null
            or r.set_tpm is null and l.tpm is not null
            or l.concurrency is distinct from r.most;
        if coalesce(l.rpm, l.tpm, l.concurrency) is not null then
            slots := limit_slots(p_worker, r.scope, l.concurrency, u.n, r.in_flight, r.waiting,
                v_now);
        end if;
        if slots >= 0 and slots <= r.in_flight and r.waiting > 0 then
            more_ms := 300;
        end if;

        if l.rpm is not null then
            v_burst := greatest(1, l.rpm / 60.0);
            l.requests_left := least(v_burst,
                l.requests_left + v_minutes * l.rpm + r.back_requests);
            requests := case when paused_ms > 0 then 0 else greatest(0, least(r.want_requests,
                floor(l.requests_left), greatest(1, floor(v_burst / u.n)))) end;
            l.requests_left := l.requests_left - requests;
            rpm_share := greatest(1, l.rpm / u.n);
            if requests < r.want_requests and l.requests_left < 1 then
                more_ms := greatest(more_ms, ceil((1 - l.requests_left) * 60000 / l.rpm));
            end if;
        end if;
        if l.tpm is not null then
            -- One call may be larger than a second's worth: it takes it, and all others wait
            -- until that has come in.
            v_burst := greatest(1, l.tpm / 60.0);
            l.tokens_left := greatest(-l.tpm, least(v_burst,
                l.tokens_left + v_minutes * l.tpm + r.back_tokens));
            tokens := case when paused_ms > 0 or l.tokens_left < 1 then 0
                else least(r.want_tokens, greatest(r.head_tokens,
                    least(floor(l.tokens_left), ceil(v_burst / u.n)))) end;
            l.tokens_left := l.tokens_left - tokens;
            tpm_share := greatest(1, l.tpm / u.n);
            if tokens < r.want_tokens and l.tokens_left < 1 then
                more_ms := greatest(more_ms, ceil((1 - l.tokens_left) * 60000 / l.tpm));
            end if;
        end if;
        more_ms := greatest(more_ms, paused_ms);

        update limits set rpm = l.rpm, tpm = l.tpm, seen_rpm = l.seen_rpm, seen_tpm = l.seen_tpm,
            learned = l.learned, requests_left = l.requests_left, tokens_left = l.tokens_left,
            refilled_at = l.refilled_at, concurrency = l.concurrency, successes = l.successes,
            throttled = l.throttled, lowered_at = l.lowered_at, paused_until = l.paused_until,
            updated_at = v_now
            where scope = r.scope;
        return next;
    end loop;
end $$;

-- Notes a worker's calls in flight and waiting, and says how many it may have in flight; -1 when
-- there is no bound. Together the workers never have more: what is not in flight yet and what was
-- granted to others is set aside. Each may hope for an equal part, and for what others do not need.
-- When there are fewer places than workers, who had one lets others go first.
create function limit_slots(p_worker bigint, p_scope text, p_concurrency int, p_users int,
    p_in_flight int, p_waiting int, p_now timestamptz)
returns int language plpgsql volatile set search_path = millrace, pg_temp as $$
declare
    v_fair int := p_concurrency / p_users;
    v_need int := p_in_flight + p_waiting + greatest(1, (p_in_flight + p_waiting) / 4);
    v_had int;
    v_slots int := -1;
    u record;
begin
    delete from limit_users where scope = p_scope and asked_at < p_now - interval '1 minute';
    if p_concurrency is not null then
        select coalesce(sum(o.slots), 0)::int as taken,
            coalesce(sum(greatest(o.slots, least(o.in_flight + o.waiting, v_fair))), 0)::int
                as claimed,
            coalesce(bool_or(o.waiting > 0 and o.slots = 0), false) as starving
            into u
            from limit_users o where o.scope = p_scope and o.worker <> p_worker
                and o.asked_at > p_now - interval '5 seconds';
        v_slots := greatest(0, least(v_need, p_concurrency - u.taken,
            greatest(v_fair, p_concurrency - u.claimed)));
        if v_fair = 0 and u.starving then
            select o.slots into v_had from limit_users o
                where o.scope = p_scope and o.worker = p_worker;
            if p_in_flight > 0 or v_had > 0 then
                v_slots := 0;
            end if;
        end if;
    end if;
    insert into limit_users as o (scope, worker, in_flight, waiting, slots, asked_at)
        values (p_scope, p_worker, p_in_flight, p_waiting, greatest(v_slots, p_in_flight), p_now)
        on conflict (scope, worker) do update set in_flight = excluded.in_flight,
            waiting = excluded.waiting, slots = excluded.slots, asked_at = excluded.asked_at;
    return v_slots;
end $$;

-- What is in force now, and how it stands.
create view limit_overview as
select l.scope, l.rpm, l.tpm,
    floor(least(greatest(1, l.rpm / 60.0), l.requests_left + a.minutes * l.rpm))::bigint
        as requests_left,
    floor(least(greatest(1, l.tpm / 60.0), l.tokens_left + a.minutes * l.tpm))::bigint
        as tokens_left,
    l.concurrency, l.learned, coalesce(u.in_flight, 0) as in_flight, coalesce(u.waiting, 0) as waiting,
    coalesce(u.workers, 0) as workers, l.throttled,
    case when l.paused_until > now() then l.paused_until end as paused_until, l.updated_at
from limits l
cross join lateral (
    select greatest(0, extract(epoch from now() - l.refilled_at))::double precision / 60 as minutes
) a
left join lateral (
    select sum(o.in_flight)::int as in_flight, sum(o.waiting)::int as waiting,
        count(*)::int as workers
    from limit_users o where o.scope = l.scope and o.asked_at > now() - interval '5 seconds'
) u on true;
