-- Everything a turn says about jobs the worker holds: finished steps (checkpoint), the job's move
-- (finish), and intents of the next calls with their holds (begin), all of it or nothing for each
-- job, except that a begin may be refused by itself. Items of p_step_job and p_call_job are
-- positions in p_job. It comes after settle, in the same transaction; p_settled names the calls
-- settle was told of, and p_answer_* those of them others may be waiting for.
--
-- One row back for each job, without a call:
--   ok         written, now or by an earlier try of exactly this
--   stale      the lease is not the worker's any more: nothing was written
--   cancelled  a call was to begin, but the job is to be cancelled: no call begins, and the job does
--              not move; what has finished is written
-- and one for each call that was not simply begun:
--   capped     its hold does not fit under a cap (words); on_cap says what becomes of the job
--   hit        answered before: words is the text; its row is written, settled at nothing
--   wait       the same call is out for another job
-- and for one job of a tenant that has come near a cap, or to it: warned, reached (words: day or
-- month), without a call too.
-- A job stands at most once in p_job. The order of locks is in caps.sql.
create function commit_jobs(p_worker bigint,
    p_job uuid[], p_epoch bigint[], p_move text[], p_error_class text[], p_error_message text[],
    p_error_step text[], p_until_ms bigint[], p_pool text[],
    p_step_job int[], p_step_name text[], p_step_state text[], p_step_output jsonb[],
    p_step_degraded boolean[], p_step_attempts int[], p_step_class text[], p_step_message text[],
    p_step_started_ms bigint[], p_step_ended_ms bigint[],
    p_call_job int[], p_call_id uuid[], p_call_step text[], p_call_attempt int[],
    p_call_provider text[], p_call_endpoint text[], p_call_alias text[], p_call_model text[],
    p_call_route text[], p_call_hold_pico bigint[], p_call_price_id bigint[],
    p_call_price_unknown boolean[], p_call_timeout_ms bigint[], p_call_key bytea[],
    p_settled uuid[], p_answer_call uuid[], p_answer_key bytea[], p_answer_text text[],
    p_answer_ttl_ms bigint[])
returns table (ord int, verdict text, call uuid, on_cap text, hopeless boolean, wait_ms bigint,
    words text, served_model text, finish_reason text)
language plpgsql volatile security definer
set search_path = millrace, pg_temp set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
    v_held boolean[]; -- its lease is the worker's
    v_ok boolean[];   -- and it may go on
    v_cancel boolean[]; -- holds the lease, but is to be cancelled
    v_shaky boolean;
    v_tenant text[];
    v_capped text[];   -- tenants that have a cap
    v_not boolean[] := '{}'; -- calls that do not begin
    v_source uuid[] := '{}'; -- calls whose answer is here
    r record;
begin
    lock table calls in row exclusive mode;
    select array_agg(q.ok order by q.ord), array_agg(q.ok and q.cancel_requested order by q.ord),
            bool_or(q.redeliveries > 0 or q.excused is not null), array_agg(q.tenant order by q.ord)
        into v_held, v_cancel, v_shaky, v_tenant
        from (
            select u.ord, j.tenant, j.cancel_requested, j.redeliveries, j.excused,
                coalesce(j.epoch = u.epoch and (
                j.state = 'running' or j.state = u.move and j.worker = p_worker), false) as ok
            from (
                select * from unnest(p_job, p_epoch, p_move) with ordinality
                    a (id, epoch, move, ord) order by a.id
            ) u
            left join lateral (
                select tenant, epoch, state, worker, cancel_requested, redeliveries, excused
                    from jobs
                    where id = u.id for update
            ) j on true
        ) q;

    v_ok := v_held;
    -- An earlier try that wrote an intent was not refused, whatever was asked for since: its call has
    -- to be made, or nobody would give its hold back.
    if true = any (v_cancel) then
        v_cancel := array(select c and a.ord = any (p_call_job) and not exists (
                select from unnest(p_call_job, p_call_id) u (job, id)
                    join calls k on k.id = u.id and k.cached_from is null where u.job = a.ord)
            from unnest(v_cancel) with ordinality a (c, ord) order by a.ord);
        v_ok := array(select o and not c from unnest(v_ok, v_cancel) with ordinality
            a (o, c, ord) order by a.ord);
    end if;

    if cardinality(p_step_job) > 0 then
        insert into steps (job_id, name, state, output, degraded, attempts, error_class,
            error_message, started_at, ended_at)
            select p_job[u.job], u.name, u.state, u.output, u.degraded, u.attempts, u.class,
                u.message, to_timestamp(nullif(u.started_ms, 0) * 0.001),
                to_timestamp(u.ended_ms * 0.001)
            from unnest(p_step_job, p_step_name, p_step_state, p_step_output, p_step_degraded,
                p_step_attempts, p_step_class, p_step_message, p_step_started_ms, p_step_ended_ms)
                u (job, name, state, output, degraded, attempts, class, message, started_ms,
                ended_ms)
            where v_held[u.job]
            on conflict (job_id, name) do nothing;
        if v_shaky then
            -- A step beside it that goes on waiting keeps what it is excused.
            update jobs j set redeliveries = 0, excused = case when exists (
                        select from calls c where c.job_id = j.id and c.cached_from is null
                            and not exists (select from steps s
                                where s.job_id = c.job_id and s.name = c.step)) then j.excused end
                from unnest(p_step_job) u (job)
                where v_held[u.job] and j.id = p_job[u.job]
                    and (j.redeliveries > 0 or j.excused is not null);
        end if;
        if true = any (p_step_degraded) then
            update jobs j set degraded = true
                from unnest(p_step_job, p_step_degraded) u (job, degraded)
                where u.degraded and v_held[u.job] and j.id = p_job[u.job] and not j.degraded;
        end if;
    end if;

    if exists (select from unnest(p_move) m where m <> 'none') then
        perform finish(v_ok, p_job, p_move, p_error_class, p_error_message, p_error_step,
            p_until_ms, p_pool);
    end if;

    if exists (select from unnest(p_call_key) k where k is not null) then
        for r in
            select * from admit_answers(v_ok, v_tenant, p_job, p_call_job, p_call_id, p_call_step,
                p_call_key, p_call_timeout_ms, p_settled)
        loop
            ord := p_call_job[r.item];
            verdict := r.verdict;
            call := p_call_id[r.item];
            wait_ms := 250;
            words := r.words;
            served_model := r.served_model;
            finish_reason := r.finish_reason;
            v_not[r.item] := r.verdict = 'wait';
            v_source[r.item] := r.source;
            return next;
        end loop;
        wait_ms := null;
        served_model := null;
        finish_reason := null;
    end if;
    if cardinality(p_answer_call) > 0 then
        perform answers_fill(p_answer_call, p_answer_key, p_answer_text, p_answer_ttl_ms);
    end if;
    select array_agg(t.name) into v_capped from tenants t where t.name = any (v_tenant)
        and (t.cap_day_pico is not null or t.cap_month_pico is not null
            or t.cap_job_pico is not null);
    if v_capped is not null then
        for r in
            select * from admit_caps(v_ok, v_not, v_source, v_tenant, v_capped, p_settled, p_job,
                p_call_job, p_call_id, p_call_hold_pico, p_call_key)
        loop
            ord := coalesce(p_call_job[r.item], array_position(v_tenant, r.tenant));
            verdict := r.verdict;
            call := p_call_id[r.item];
            on_cap := r.on_cap;
            hopeless := r.hopeless;
            wait_ms := r.wait_ms;
            words := r.words;
            if r.item is not null then
                v_not[r.item] := true;
            end if;
            return next;
        end loop;
    end if;

    -- A call may be answered until its timeout, which begins after this; the answer takes a moment
    -- to get here. Whoever took the job within that moment would pay again.
    if cardinality(p_call_job) > 0 then
        insert into calls (id, job_id, step, attempt, epoch, worker, tenant, pipeline, provider,
            endpoint, alias, model, route, state, hold_pico, cost_pico, price_id, price_unknown,
            expires_at, cached_from, settled_at)
            select u.id, j.id, u.step, u.attempt, p_epoch[u.job], p_worker, j.tenant, j.pipeline,
                u.provider, coalesce(u.endpoint, 'default'), u.alias, u.model, u.route,
                case when h.source is null then 'open' else 'settled' end,
                case when h.source is null then u.hold_pico else 0 end, 0,
                nullif(u.price_id, 0), u.price_unknown and h.source is null,
                now() + make_interval(secs => u.timeout_ms * 0.001 + 10), h.source,
                case when h.source is not null then now() end
            from unnest(p_call_job, p_call_id, p_call_step, p_call_attempt, p_call_provider,
                p_call_endpoint, p_call_alias, p_call_model, p_call_route, p_call_hold_pico,
                p_call_price_id, p_call_price_unknown, p_call_timeout_ms) with ordinality
                u (job, id, step, attempt, provider, endpoint, alias, model, route, hold_pico,
                price_id, price_unknown, timeout_ms, item)
            join jobs j on j.id = p_job[u.job]
            cross join lateral (select v_source[u.item]) h (source)
            where v_ok[u.job] and v_not[u.item] is not true
            on conflict (id) do nothing;
    end if;

    return query select a.ord::int,
        case when a.o then 'ok' when a.c then 'cancelled' else 'stale' end, null::uuid, null::text,
        null::boolean, null::bigint, null::text, null::text, null::text
        from unnest(v_ok, v_cancel) with ordinality a (o, c, ord);
end $$;

-- answers_ask for the calls of jobs in order. An earlier try of the same words: a call that was
-- begun then stays begun; an answer that was found then is looked for again, for it was never read.
-- Nor did one help that was found for this step before, maybe by a worker that died with it: a step
-- has one hit at most.
create function admit_answers(p_ok boolean[], p_tenant text[], p_job uuid[], p_call_job int[],
    p_call_id uuid[], p_call_step text[], p_call_key bytea[], p_call_timeout_ms bigint[],
    p_settled uuid[])
returns table (item int, verdict text, source uuid, words text, served_model text,
    finish_reason text)
language plpgsql volatile set search_path = millrace, pg_temp as $$
#variable_conflict use_column
begin
    delete from calls c using unnest(p_call_job, p_call_step, p_call_key) u (job, step, key)
        where u.key is not null and p_ok[u.job] and c.job_id = p_job[u.job] and c.step = u.step
            and c.cached_from is not null;
    return query select a.*
        from (
            select array_agg(u.item::int) as items, array_agg(u.id) as ids,
                array_agg(p_tenant[u.job]) as tenants, array_agg(u.key) as keys,
                array_agg(u.timeout_ms) as timeouts
            from unnest(p_call_job, p_call_id, p_call_key, p_call_timeout_ms) with ordinality
                u (job, id, key, timeout_ms, item)
            where p_ok[u.job] and u.key is not null
                and not exists (select from calls c where c.id = u.id)
        ) q
        cross join lateral answers_ask(q.items, q.ids, q.tenants, q.keys, q.timeouts,
            p_settled) a
        where q.items is not null;
end $$;

-- caps_admit for the calls that go out, if they fit. One that does not will not bring an answer.
create function admit_caps(p_ok boolean[], p_not boolean[], p_source uuid[], p_tenant text[],
    p_capped text[], p_settled uuid[], p_job uuid[], p_call_job int[], p_call_id uuid[],
    p_call_hold_pico bigint[], p_call_key bytea[])
returns table (item int, verdict text, tenant text, on_cap text, hopeless boolean, wait_ms bigint,
    words text)
language plpgsql volatile set search_path = millrace, pg_temp as $$
#variable_conflict use_column
declare
    v_item int[];
    v_job uuid[];
    v_tenant text[];
    v_hold bigint[];
begin
    select array_agg(q.item), array_agg(p_job[q.job]), array_agg(p_tenant[q.job]),
            array_agg(q.hold)
        into v_item, v_job, v_tenant, v_hold
        from (
            select u.* from unnest(p_call_job, p_call_id, p_call_hold_pico) with ordinality
                u (job, id, hold, item)
            where p_ok[u.job] and p_not[u.item] is not true and p_source[u.item] is null
                and not exists (select from calls c where c.id = u.id) -- begun by an earlier try
            order by u.item
        ) q;
    for item, verdict, tenant, on_cap, hopeless, wait_ms, words in
        select v_item[a.item], a.verdict, a.tenant, a.on_cap, a.hopeless, a.wait_ms, a.words
        from caps_admit(p_capped, p_settled, v_job, v_tenant, v_hold) a
    loop
        if p_call_key[item] is not null then
            delete from answers a where a.tenant = p_tenant[p_call_job[item]]
                and a.key = p_call_key[item] and a.call_id = p_call_id[item];
        end if;
        return next;
    end loop;
end $$;

-- Moves jobs that commit_jobs has locked and found in order. What an ended job still has open can
-- only be ambiguous: nobody waits for it; should its answer come nevertheless, it is settled.
create function finish(p_ok boolean[], p_job uuid[], p_move text[], p_error_class text[],
    p_error_message text[], p_error_step text[], p_until_ms bigint[], p_pool text[])
returns void language plpgsql volatile set search_path = millrace, pg_temp as $$
begin
    update jobs j set state = u.move, error_class = u.class, error_message = u.message,
        error_step = u.step, updated_at = now(), pool = coalesce(u.pool, j.pool),
        ended_at = case when u.move <> 'waiting' then now() end,
        delay_until = case when u.move = 'waiting' then to_timestamp(nullif(u.until_ms, 0) * 0.001)
            end,
        redeliveries = case when u.move = 'waiting' then 0 else j.redeliveries end
        from unnest(p_ok, p_job, p_move, p_error_class, p_error_message, p_error_step, p_until_ms,
            p_pool) u (ok, id, move, class, message, step, until_ms, pool)
        where u.ok and u.move <> 'none' and j.id = u.id and j.state = 'running';

    update calls c set state = 'ambiguous', cost_pico = c.hold_pico, class = 'ambiguous',
        message = 'the job ended before the answer came', settled_at = now()
        from (
            -- A locked one is being ended right now, by a worker that had the job before.
            select c.id from unnest(p_ok, p_job, p_move) u (ok, id, move)
                join calls c on c.job_id = u.id
                where u.ok and u.move in ('done', 'dead', 'cancelled') and c.state = 'open'
                for update of c skip locked
        ) o
        where c.id = o.id;
end $$;
