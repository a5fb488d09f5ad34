-- A tenant's committed money, and whether a call's hold fits under its caps.
--
-- Lock order of everything that writes calls (other order, other lock: a deadlock some day):
--   1. table calls in row exclusive mode, first of all (tenant_set takes it in share row exclusive
--      mode, first of all, and so runs between transactions, never among them)
--   2. rows of calls that are to end: settle's, which are its worker's own. Whoever else ends calls
--      (claim, finish, sweep) skips locked ones.
--   3. rows of jobs, by id. A claim skips locked ones, and inserts new ones by key and id.
--   4. rows of answers: new ones, by tenant and key (an insert waits for whoever is just inserting,
--      changing or deleting an equal one), then those to be taken over, then those to be filled,
--      both of which skip locked ones
--   5. rows of spend, by tenant, period and start: missing ones are made first, then all are locked
-- Each transaction goes through these in this order, or leaves some out. Nothing is waited for
-- while rows of spend are locked.

-- Makes the counter of a period, with what the tenant's calls of that period have committed.
create function spend_start(p_tenant text, p_period text, p_starts date) returns void
language sql volatile set search_path = millrace, pg_temp
set enable_seqscan = on set enable_bitmapscan = on as $$
    insert into spend (tenant, period, starts, spent_pico)
        select p_tenant, p_period, p_starts,
            coalesce(sum(case state when 'open' then hold_pico else cost_pico end), 0)
            from calls where tenant = p_tenant
                and started_at >= p_starts::timestamp at time zone 'UTC'
                and started_at < (p_starts + ('1 ' || p_period)::interval) at time zone 'UTC'
        on conflict do nothing;
$$;

-- How a refusal reads, and when to ask again. A cap of a job is not for the clock to mend, only
-- for the job's own calls that are running.
create function cap_words(p_cap text, p_limit numeric, p_left numeric, p_hold numeric,
    out words text, out wait_ms bigint)
language sql stable set search_path = millrace, pg_temp as $$
    select format('the tenant''s cap of %s a %s leaves %s, and this call may cost %s',
            usd_words(p_limit), p_cap, usd_words(p_left), usd_words(p_hold)),
        case p_cap when 'job' then 1000 else least(600000, 1 + extract(epoch from
            (period_start(p_cap, now()) + ('1 ' || p_cap)::interval) at time zone 'UTC' - now())
            * 1000)::bigint end;
$$;

-- Under the locks of commit_jobs: takes what settle has just ended (p_settled) out of the tenants'
-- counters or adds it, and puts the holds that fit in. p_tenants are the tenants of the batch that
-- have caps; p_job, p_tenant and p_hold are the calls that are to begin, in the order in which they
-- are to have the money. A row for each call that does not fit (`capped`), and for each cap that
-- was reached or to 80 per cent used for the first time (`reached`, `warned`; words: day or month).
create function caps_admit(p_tenants text[], p_settled uuid[], p_job uuid[], p_tenant text[],
    p_hold bigint[])
returns table (item int, verdict text, tenant text, on_cap text, hopeless boolean, wait_ms bigint,
    words text)
language plpgsql volatile set search_path = millrace, pg_temp set enable_hashjoin = on as $$
#variable_conflict use_column
declare
    v_day date := period_start('day', now());
    v_month date := period_start('month', now());
    s_tenant text[]; -- what settle has changed: tenant, day, how much
    s_day date[];
    s_pico numeric[];
    h_tenant text[]; -- who wants how much
    h_pico numeric[];
    k_tenant text[]; -- the counters, locked
    k_period text[];
    k_starts date[];
    k_cap numeric[]; -- null: no cap, or a period that is over
    k_left numeric[]; -- of the cap, after the settles
    k_pico numeric[]; -- of the settles
    v_tight text[]; -- tenants whose calls do not all fit
    v_reached text[] := '{}';
    r record;
begin
    select array_agg(x.tenant), array_agg(x.day), array_agg(x.pico) into s_tenant, s_day, s_pico
        from (
            select c.tenant, period_start('day', c.started_at) as day,
                sum(c.cost_pico - c.hold_pico) as pico
            from unnest(p_settled) u (id)
            join calls c on c.id = u.id
            -- Ended now, not by an earlier try of the same words.
            where c.xmin = pg_current_xact_id()::xid and c.cost_pico <> c.hold_pico
            group by 1, 2
        ) x;
    select array_agg(x.tenant), array_agg(x.pico) into h_tenant, h_pico
        from (
            select u.tenant, sum(u.hold) as pico from unnest(p_tenant, p_hold) u (tenant, hold)
                join unnest(p_tenants) t (name) on t.name = u.tenant
                where u.hold > 0 group by 1
        ) x;

    for r in
        select t.name, p.period, p.starts
        from unnest(h_tenant) h (tenant)
        join tenants t on t.name = h.tenant
        cross join lateral (values ('day', v_day, t.cap_day_pico),
            ('month', v_month, t.cap_month_pico)) p (period, starts, cap)
        where p.cap is not null and not exists (select from spend s
            where s.tenant = t.name and s.period = p.period and s.starts = p.starts)
        order by 1, 2, 3
    loop
        perform spend_start(r.name, r.period, r.starts);
    end loop;

    -- The rows are locked in the order of k: it is sorted, and joined with nothing else.
    select array_agg(k.tenant), array_agg(k.period), array_agg(k.starts), array_agg(k.cap),
            array_agg(k.cap - l.spent_pico - k.pico), array_agg(k.pico)
        into k_tenant, k_period, k_starts, k_cap, k_left, k_pico
        from (
            select q.*, case when q.period = 'day' and q.starts = v_day
                then t.cap_day_pico when q.period = 'month' and q.starts = v_month
                then t.cap_month_pico end as cap
            from (
                select n.tenant, n.period, n.starts, sum(n.pico) as pico
                from (
                    select d.tenant, p.period, period_start(p.period, d.day::timestamp
                        at time zone 'UTC') as starts, d.pico
                    from unnest(s_tenant, s_day, s_pico) d (tenant, day, pico)
                    cross join (values ('day'), ('month')) p (period)
                    union all
                    select h.tenant, p.period, p.starts, 0
                    from unnest(h_tenant) h (tenant)
                    cross join (values ('day', v_day), ('month', v_month)) p (period, starts)
                ) n
                group by 1, 2, 3
            ) q
            join tenants t on t.name = q.tenant
            order by q.tenant, q.period, q.starts
        ) k
        cross join lateral (
            select s.spent_pico from spend s
                where s.tenant = k.tenant and s.period = k.period and s.starts = k.starts
                for update
        ) l;

    -- Mostly all of them fit, and nobody has to look at them one by one.
    select array_agg(h.tenant) into v_tight
        from unnest(h_tenant, h_pico) h (tenant, pico)
        left join (
            select k.tenant, min(k.cap_left) as cap_left
            from unnest(k_tenant, k_left) k (tenant, cap_left) group by 1
        ) k on k.tenant = h.tenant
        where k.cap_left < h.pico
            or h.tenant in (
                select j.tenant from (
                    select t.name as tenant, t.cap_job_pico as cap, u.job, sum(u.hold) as pico
                    from unnest(h_tenant) n (name)
                    join tenants t on t.name = n.name
                    join unnest(p_tenant, p_job, p_hold) u (tenant, job, hold)
                        on u.tenant = t.name
                    where t.cap_job_pico is not null and u.hold > 0
                    group by 1, 2, 3
                ) j
                where j.pico + job_committed(j.job) > j.cap);
    if v_tight is not null then
        for r in
            select * from caps_squeeze(v_tight, p_job, p_tenant, p_hold, k_tenant, k_period, k_left)
        loop
            item := r.item;
            verdict := 'capped';
            tenant := r.tenant;
            on_cap := r.on_cap;
            hopeless := r.hopeless;
            wait_ms := r.wait_ms;
            words := r.words;
            h_pico[array_position(h_tenant, r.tenant)] :=
                h_pico[array_position(h_tenant, r.tenant)] - p_hold[r.item];
            if r.cap <> 'job' and not r.hopeless then
                v_reached := v_reached || (r.tenant || '/' || r.cap);
            end if;
            return next;
        end loop;
    end if;

    for r in
        with change as materialized (
            select k.tenant, k.period, k.starts, k.cap, k.pico + case when k.cap is null then 0
                else coalesce(h.pico, 0) end as pico,
                k.tenant || '/' || k.period = any (v_reached) as reached
            from unnest(k_tenant, k_period, k_starts, k_cap, k_pico)
                k (tenant, period, starts, cap, pico)
            left join unnest(h_tenant, h_pico) h (tenant, pico) on h.tenant = k.tenant
        ), due as (
            select c.*, s.warned_at, s.reached_at, coalesce(c.pico > 0
                and s.spent_pico + c.pico >= 0.8 * c.cap, false) as near
            from change c
            join spend s on s.tenant = c.tenant and s.period = c.period and s.starts = c.starts
            where c.pico <> 0 or c.reached
        )
        update spend s set spent_pico = s.spent_pico + d.pico,
            warned_at = coalesce(s.warned_at, case when d.near then now() end),
            reached_at = coalesce(s.reached_at, case when d.reached then now() end)
            from due d
            where s.tenant = d.tenant and s.period = d.period and s.starts = d.starts
            returning s.tenant, s.period, d.near and d.warned_at is null as warned,
                d.reached and d.reached_at is null as reached
    loop
        item := null;
        tenant := r.tenant;
        on_cap := null;
        hopeless := null;
        wait_ms := null;
        words := r.period;
        if r.warned then
            verdict := 'warned';
            return next;
        end if;
        if r.reached then
            verdict := 'reached';
            return next;
        end if;
    end loop;
end $$;

-- What a job has committed.
create function job_committed(p_job uuid) returns numeric
language sql stable set search_path = millrace, pg_temp as $$
    select coalesce(sum(case state when 'open' then hold_pico else cost_pico end), 0)
        from calls where job_id = p_job;
$$;

-- Near a cap calls are admitted one by one: a smaller one may still fit where a dear one did not.
-- Returns those that do not.
create function caps_squeeze(p_tight text[], p_job uuid[], p_tenant text[], p_hold bigint[],
    p_key_tenant text[], p_key_period text[], p_key_left numeric[])
returns table (item int, tenant text, cap text, on_cap text, hopeless boolean, wait_ms bigint,
    words text)
language plpgsql volatile set search_path = millrace, pg_temp as $$
#variable_conflict use_column
declare
    v_tenant text;
    v_job uuid;
    v_day numeric; -- what is left
    v_month numeric;
    v_of_job numeric;
    v_left numeric;
    v_limit numeric;
    r record;
begin
    for r in
        select u.item, u.tenant, u.job, u.hold, t.on_cap, t.cap_day_pico, t.cap_month_pico,
            t.cap_job_pico, d.day_left, d.month_left
        from unnest(p_tenant, p_job, p_hold) with ordinality u (tenant, job, hold, item)
        join tenants t on t.name = u.tenant
        cross join lateral (
            select min(k.cap_left) filter (where k.period = 'day') as day_left,
                min(k.cap_left) filter (where k.period = 'month') as month_left
            from unnest(p_key_tenant, p_key_period, p_key_left) k (tenant, period, cap_left)
            where k.tenant = u.tenant
        ) d
        where u.tenant = any (p_tight) and u.hold > 0
        order by u.tenant, u.item
    loop
        if r.tenant is distinct from v_tenant then
            v_tenant := r.tenant;
            v_day := r.day_left;
            v_month := r.month_left;
        end if;
        if r.job is distinct from v_job then -- a job's calls stand together
            v_job := r.job;
            v_of_job := case when r.cap_job_pico is not null
                then r.cap_job_pico - job_committed(r.job) end;
        end if;
        cap := case when r.hold > v_of_job then 'job' when r.hold > v_day then 'day'
            when r.hold > v_month then 'month' end;
        if cap is null then
            v_day := v_day - r.hold;
            v_month := v_month - r.hold;
            v_of_job := v_of_job - r.hold;
            continue;
        end if;
        item := r.item;
        tenant := r.tenant;
        on_cap := r.on_cap;
        v_left := case cap when 'job' then v_of_job when 'day' then v_day else v_month end;
        v_limit := case cap when 'job' then r.cap_job_pico when 'day' then r.cap_day_pico
            else r.cap_month_pico end;
        -- What a job has spent stays spent; only holds of its calls that run may come back. A call
        -- that is dearer than a whole day or month parks all the same: the cap may be raised.
        hopeless := case when cap = 'job' then r.hold + (select coalesce(sum(c.cost_pico), 0)
                from calls c where c.job_id = r.job) > v_limit
            else r.hold > v_limit and r.on_cap <> 'park' end;
        select w.words, w.wait_ms into words, wait_ms from cap_words(cap, v_limit, v_left, r.hold) w;
        return next;
    end loop;
end $$;
