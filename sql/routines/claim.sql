-- Claims jobs for a worker: one array item a delivery, one row back for each, in any order.
--   run        the lease is the worker's, at `epoch`; steps holds what is finished already
--   busy       another living worker is at it, or somebody is just writing to it: try again later
--   done, dead, cancelled, duplicate   it has ended; for duplicate error_message holds the other id
-- lost_pico: what calls of dead workers, which the claim has turned ambiguous, may have cost.
-- Claims run in a transaction of their own. They wait for no row lock (only for another claim that
-- inserts the same job or key at this very moment, and all insert in the same order), so two
-- workers cannot lock each other out.
create function claim(p_worker bigint, p_dead_after_ms bigint, p_pool text, p_id uuid[],
    p_tenant text[], p_pipeline text[], p_version int[], p_priority int[], p_replay int[],
    p_key text[], p_metadata jsonb[], p_deadline_ms bigint[], p_created_ms bigint[])
returns table (ord int, verdict text, epoch bigint, version int, redeliveries int,
    spent_pico bigint, until_ms bigint, steps jsonb, error_class text, error_message text,
    error_step text, lost_pico bigint)
language plpgsql volatile security definer
set search_path = millrace, pg_temp set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
    v_fresh uuid[];
    r record;
begin
    lock table calls in row exclusive mode; -- before any row: see caps.sql
    with fresh as (
        insert into jobs (id, tenant, pipeline, version, priority, pool, state, epoch, worker,
            replays, idempotency_key, metadata, deadline, created_at, claimed_at)
        select u.id, u.tenant, u.pipeline, u.version, u.priority, p_pool, 'running', 1, p_worker,
            u.replay, u.key, u.metadata, to_timestamp(nullif(u.deadline_ms, 0) * 0.001),
            least(coalesce(to_timestamp(nullif(u.created_ms, 0) * 0.001), now()), now()), now()
        from unnest(p_id, p_tenant, p_pipeline, p_version, p_priority, p_replay, p_key, p_metadata,
            p_deadline_ms, p_created_ms) u (id, tenant, pipeline, version, priority, replay, key,
            metadata, deadline_ms, created_ms)
        order by u.key is null, u.tenant, u.key, u.id
        on conflict do nothing
        returning id
    )
    select coalesce(array_agg(id), '{}') into v_fresh from fresh;

    if cardinality(v_fresh) = cardinality(p_id) then
        return query select u.ord::int, 'run', 1::bigint, u.version, 0, 0::bigint, 0::bigint,
            null::jsonb, null::text, null::text, null::text, 0::bigint
            from unnest(p_version) with ordinality u (version, ord);
        return;
    end if;

    for r in
        select u.*, row_number() over (partition by u.id order by u.ord) as copy
        from unnest(p_id, p_tenant, p_pipeline, p_version, p_priority, p_replay, p_key, p_metadata,
            p_deadline_ms, p_created_ms) with ordinality u (id, tenant, pipeline, version,
            priority, replay, key, metadata, deadline_ms, created_ms, ord)
        order by u.id, u.ord
    loop
        ord := r.ord;
        verdict := 'run';
        epoch := 1;
        version := r.version;
        redeliveries := 0;
        spent_pico := 0;
        until_ms := 0;
        steps := null;
        error_class := null;
        error_message := null;
        error_step := null;
        lost_pico := 0;
        if r.copy > 1 then
            verdict := 'busy'; -- a second delivery of a job in this very batch
        elsif r.id <> all (v_fresh) then
            select c.verdict, c.epoch, c.version, c.redeliveries, c.spent_pico, c.until_ms, c.steps,
                c.error_class, c.error_message, c.error_step, c.lost_pico
                into verdict, epoch, version, redeliveries, spent_pico, until_ms, steps,
                error_class, error_message, error_step, lost_pico
                from claim_known(p_worker, p_dead_after_ms, p_pool, r.id, r.tenant, r.pipeline,
                    r.version, r.priority, r.replay, r.key, r.metadata) c;
        end if;
        return next;
    end loop;
end $$;

-- What a job may have cost so far: settled and ambiguous.
create function claim_spent(p_id uuid) returns bigint
language sql stable set search_path = millrace, pg_temp as $$
    select least(coalesce(sum(c.cost_pico), 0), 9223372036854775807)::bigint
        from calls c where c.job_id = p_id;
$$;

-- The job that could not be inserted, because it or its idempotency key is there already.
create function claim_known(p_worker bigint, p_dead_after_ms bigint, p_pool text, p_id uuid,
    p_tenant text, p_pipeline text, p_version int, p_priority int, p_replay int, p_key text,
    p_metadata jsonb, out verdict text, out epoch bigint, out version int, out redeliveries int,
    out spent_pico bigint, out until_ms bigint, out steps jsonb, out error_class text,
    out error_message text, out error_step text, out lost_pico bigint)
language plpgsql volatile set search_path = millrace, pg_temp as $$
declare
    j jobs;
    v_open int;
    v_mine int;
    v_replay boolean;
begin
    select * into j from jobs where id = p_id for update skip locked;
    if not found then
        select d.verdict, d.other into verdict, error_message from claim_duplicate(p_id, p_tenant,
            p_pipeline, p_version, p_priority, p_key, p_metadata) d;
        return;
    end if;
    v_replay := j.state = 'dead' and p_replay > j.replays;
    error_class := j.error_class;
    error_message := j.error_message;
    error_step := j.error_step;
    if j.duplicate_of is not null then
        verdict := 'duplicate';
        error_message := j.duplicate_of::text;
        return;
    elsif j.state in ('done', 'cancelled') or j.state = 'dead' and not v_replay then
        verdict := j.state;
        spent_pico := claim_spent(p_id);
        return;
    end if;

    -- A living owner keeps its lease between its calls too: if it could be taken there, two workers
    -- with a message each could go on robbing each other. Nobody holds one longer than half an
    -- hour, and an owner whose calls have all expired does not answer for them any more.
    if j.state = 'running' and j.worker is distinct from p_worker
            and j.updated_at > now() - interval '30 minutes'
            and not exists (select from calls c where c.job_id = p_id and c.state = 'open'
                having count(*) > 0 and bool_and(c.expires_at <= now()))
            and worker_alive(j.worker, p_worker, make_interval(secs => p_dead_after_ms * 0.001)) then
        verdict := 'busy';
        return;
    end if;

    -- Who answers for its open calls? Skip locked: they may be settled this very moment.
    select count(*) into v_open from calls c where c.job_id = p_id and c.state = 'open';
    if v_open > 0 then
        select count(*) into v_mine from (
            select from calls c where c.job_id = p_id and c.state = 'open' for update skip locked
        ) l;
        if v_mine < v_open or exists (
            select from calls c where c.job_id = p_id and c.state = 'open'
                and c.worker <> p_worker and c.expires_at > now()
                and worker_alive(c.worker, p_worker, make_interval(secs => p_dead_after_ms * 0.001))
        ) then
            verdict := 'busy';
            return;
        end if;
        with gone as (
            update calls c set state = 'ambiguous', cost_pico = c.hold_pico, class = 'ambiguous',
                message = 'the worker was gone before the answer came', settled_at = now()
                where c.job_id = p_id and c.state = 'open'
                returning c.cost_pico
        )
        select least(coalesce(sum(g.cost_pico), 0), 9223372036854775807) into lost_pico from gone g;
    end if;

    if j.cancel_requested and not v_replay then
        -- A tombstone learns whose job it was, but takes no idempotency key away.
        update jobs set state = 'cancelled', tenant = coalesce(j.tenant, p_tenant),
            pipeline = coalesce(j.pipeline, p_pipeline), version = coalesce(j.version, p_version),
            priority = coalesce(j.priority, p_priority), pool = coalesce(j.pool, p_pool),
            metadata = coalesce(j.metadata, p_metadata), error_class = 'cancelled',
            ended_at = now(), updated_at = now()
            where id = p_id;
        verdict := 'cancelled';
        return;
    end if;

    if v_replay then
        delete from steps s where s.job_id = p_id and s.state = 'failed';
        j.replays := p_replay;
        j.replayed_at := now();
        j.redeliveries := 0;
        j.excused := null;
        j.cancel_requested := false; -- it died first; the later wish counts
    elsif j.state = 'running' and j.worker is distinct from p_worker then
        j.redeliveries := j.redeliveries + 1;
    elsif j.state = 'waiting' -- patience is for outages
            and j.error_class in ('capped', 'limited') and exists (select from calls c
                where c.job_id = p_id and c.cached_from is null and not exists (select from steps s
                    where s.job_id = p_id and s.name = c.step)) then
        j.excused := coalesce(j.excused, '0') + (now() - j.updated_at);
    end if;
    if j.version = 0 then
        j.version := p_version; -- whoever claimed it did not know its pipeline
    end if;
    update jobs set state = 'running', epoch = j.epoch + 1, worker = p_worker, pool = p_pool,
        version = j.version, cancel_requested = j.cancel_requested, redeliveries = j.redeliveries,
        replays = j.replays, replayed_at = j.replayed_at, excused = j.excused, delay_until = null,
        ended_at = null, dropped_at = null, error_class = null, error_message = null,
        error_step = null, updated_at = now()
        where id = p_id;
    verdict := 'run';
    epoch := j.epoch + 1;
    version := j.version;
    redeliveries := j.redeliveries;
    until_ms := coalesce(extract(epoch from j.delay_until) * 1000, 0);
    if until_ms = 0 then -- else: what it goes on waiting for
        error_class := null;
        error_message := null;
        error_step := null;
    end if;
    spent_pico := claim_spent(p_id);
    select jsonb_object_agg(o.name, o.step) into steps from (
        select s.name, jsonb_build_object('state', s.state, 'output', s.output, 'degraded',
            s.degraded, 'attempts', s.attempts, 'class', s.error_class, 'message',
            s.error_message) as step
        from steps s where s.job_id = p_id
        union all
        select c.step, jsonb_build_object('attempts', count(*), 'paid',
            count(*) filter (where c.state <> 'released'), 'since_ms',
            floor(extract(epoch from least(now(), min(c.started_at)
                + coalesce(j.excused, '0'))) * 1000)::bigint)
        from calls c where c.job_id = p_id and c.cached_from is null
            and c.started_at >= coalesce(j.replayed_at, '-infinity')
            -- released without a failure: begun, but a drain came before it was sent
            and (c.state <> 'released' or c.class is not null)
            and not exists (select from steps s where s.job_id = p_id and s.name = c.step)
        group by c.step
    ) o;
end $$;

-- No row of that id that can be locked: either someone has it locked, or another job has its key.
create function claim_duplicate(p_id uuid, p_tenant text, p_pipeline text, p_version int,
    p_priority int, p_key text, p_metadata jsonb, out verdict text, out other text)
language plpgsql volatile set search_path = millrace, pg_temp as $$
declare
    v_other uuid;
begin
    verdict := 'busy';
    if exists (select from jobs where id = p_id) then
        return;
    end if;
    select id into v_other from jobs
        where tenant = p_tenant and idempotency_key = p_key and duplicate_of is null;
    if not found then
        return;
    end if;
    insert into jobs (id, tenant, pipeline, version, priority, state, idempotency_key,
        duplicate_of, metadata, ended_at)
        values (p_id, p_tenant, p_pipeline, p_version, p_priority, 'cancelled', p_key, v_other,
            p_metadata, now())
        on conflict (id) do nothing;
    verdict := 'duplicate';
    other := v_other::text;
end $$;
