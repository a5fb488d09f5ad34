-- Everything a turn says about jobs the worker holds, all of it or nothing for each job: finished
-- steps (checkpoint), intents of the next calls (begin), and the job's move (finish). Items of
-- p_step_job and p_call_job are positions in p_job. One row back for each job:
--   ok         written, now or by an earlier try of exactly this
--   stale      the lease is not the worker's any more: nothing was written
--   cancelled  a call was to begin, but the job is to be cancelled: nothing was written
-- A job stands at most once in p_job. Rows are locked in the order of their ids.
create function commit_jobs(p_worker bigint,
    p_job uuid[], p_epoch bigint[], p_move text[], p_error_class text[], p_error_message text[],
    p_error_step text[], p_until_ms bigint[], p_pool text[],
    p_step_job int[], p_step_name text[], p_step_state text[], p_step_output jsonb[],
    p_step_degraded boolean[], p_step_attempts int[], p_step_class text[], p_step_message text[],
    p_step_started_ms bigint[], p_step_ended_ms bigint[],
    p_call_job int[], p_call_id uuid[], p_call_step text[], p_call_attempt int[],
    p_call_provider text[], p_call_alias text[], p_call_model text[], p_call_hold_pico bigint[],
    p_call_price_id bigint[], p_call_price_unknown boolean[], p_call_timeout_ms bigint[])
returns table (ord int, verdict text)
language plpgsql volatile security definer
set search_path = millrace, pg_temp set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
    v_ok boolean[];
    v_cancel boolean[]; -- holds the lease, but is to be cancelled
    v_shaky boolean;
begin
    select array_agg(q.ok order by q.ord), array_agg(q.ok and q.cancel_requested order by q.ord),
            bool_or(q.redeliveries > 0)
        into v_ok, v_cancel, v_shaky
        from (
            select u.ord, j.cancel_requested, j.redeliveries, coalesce(j.epoch = u.epoch and (
                j.state = 'running' or j.state = u.move and j.worker = p_worker), false) as ok
            from (
                select * from unnest(p_job, p_epoch, p_move) with ordinality
                    a (id, epoch, move, ord) order by a.id
            ) u
            left join lateral (
                select epoch, state, worker, cancel_requested, redeliveries from jobs
                    where id = u.id for update
            ) j on true
        ) q;

    -- An earlier try that wrote the intents was not refused, whatever was asked for since.
    if true = any (v_cancel) then
        v_cancel := array(select c and exists (select from unnest(p_call_job, p_call_id) u (job, id)
            where u.job = a.ord and not exists (select from calls where id = u.id))
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
            where v_ok[u.job]
            on conflict (job_id, name) do nothing;
        if v_shaky then
            update jobs j set redeliveries = 0
                from unnest(p_step_job) u (job)
                where v_ok[u.job] and j.id = p_job[u.job] and j.redeliveries > 0;
        end if;
        if true = any (p_step_degraded) then
            update jobs j set degraded = true
                from unnest(p_step_job, p_step_degraded) u (job, degraded)
                where u.degraded and v_ok[u.job] and j.id = p_job[u.job] and not j.degraded;
        end if;
    end if;

    -- A call may be answered until its timeout, which begins after this; the answer takes a moment
    -- to get here. Whoever took the job within that moment would pay again.
    if cardinality(p_call_job) > 0 then
        insert into calls (id, job_id, step, attempt, epoch, worker, tenant, pipeline, provider,
            alias, model, state, hold_pico, cost_pico, price_id, price_unknown, expires_at)
            select u.id, j.id, u.step, u.attempt, p_epoch[u.job], p_worker, j.tenant, j.pipeline,
                u.provider, u.alias, u.model, 'open', u.hold_pico, 0, nullif(u.price_id, 0),
                u.price_unknown, now() + make_interval(secs => u.timeout_ms * 0.001 + 10)
            from unnest(p_call_job, p_call_id, p_call_step, p_call_attempt, p_call_provider,
                p_call_alias, p_call_model, p_call_hold_pico, p_call_price_id,
                p_call_price_unknown, p_call_timeout_ms) u (job, id, step, attempt, provider,
                alias, model, hold_pico, price_id, price_unknown, timeout_ms)
            join jobs j on j.id = p_job[u.job]
            where v_ok[u.job]
            on conflict (id) do nothing;
    end if;

    if exists (select from unnest(p_move) m where m <> 'none') then
        perform finish(v_ok, p_job, p_move, p_error_class, p_error_message, p_error_step,
            p_until_ms, p_pool);
    end if;

    return query select a.ord::int,
        case when a.o then 'ok' when a.c then 'cancelled' else 'stale' end
        from unnest(v_ok, v_cancel) with ordinality a (o, c, ord);
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
        from unnest(p_ok, p_job, p_move) u (ok, id, move)
        where u.ok and u.move in ('done', 'dead', 'cancelled') and c.job_id = u.id
            and c.state = 'open';
end $$;
