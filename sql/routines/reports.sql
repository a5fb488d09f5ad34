-- What `millrace explain` and `millrace doctor` ask.

-- What calls have cost, in millionths of the hold that was taken for them: on average, and one in
-- ten. The bound grows with the prompt, so this says what a prompt of any size will cost.
create view cost_history as
select pipeline, step, provider, model, count(*) as calls,
    trunc(1000000 * sum(cost_pico) / sum(hold_pico))::bigint as mean_millionths,
    trunc(1000000 * percentile_disc(0.1) within group (order by cost_pico / hold_pico))::bigint
        as low_millionths
from calls
where state = 'settled' and cached_from is null and hold_pico > 0
    and started_at > now() - interval '30 days'
group by pipeline, step, provider, model;

-- Alive as others judge it: its session holds its lock, or its heartbeat is a few seconds old.
create view worker_overview as
select w.id as worker_id, w.name as worker, w.host, w.pid, w.pool, w.version, w.started_at,
    w.heartbeat_at, w.stopped_at,
    w.stopped_at is null and (w.heartbeat_at > now() - interval '5 seconds' or exists (
        select from pg_locks l where l.locktype = 'advisory' and l.granted
            and l.mode = 'ExclusiveLock' and l.classid = 1835625580
            and l.objid = (w.id & 2147483647)::oid
            and l.database = (select oid from pg_database where datname = current_database())
    )) as alive
from workers w;

-- Why jobs that have begun do not get on, as far as it is on record. In a delay tier: what they wait
-- for, and until when. In the hands of a worker that has no call of theirs out: the last call failed
-- (for the so manieth time in this way; scope: what was called), or the worker has calls in the line
-- of a limit that this job's next may stand in. A pause of a moment leaves no trace.
create view job_waits as
select j.id as job_id, j.state, j.pool, j.error_step as step, j.error_class as class,
    j.error_message as message, j.delay_until as until, null::timestamptz as failed_at,
    null::int as tries, null::text as scope, null::text as line, j.created_at
from jobs j
where j.state = 'waiting'
union all
select j.id, j.state, j.pool, c.step, c.class, c.message, null, c.settled_at, c.tries, c.scope, l.line,
    j.created_at
from jobs j
left join lateral (
    select c.step, c.class, c.message, c.settled_at, (
            select count(*) from calls e where e.job_id = c.job_id and e.step = c.step
                and e.epoch = c.epoch and e.class = c.class and e.provider = c.provider
                and e.endpoint = c.endpoint and e.model = c.model
        )::int as tries, format('model:%s/%s/%s', c.provider, c.endpoint, c.model) as scope
    from calls c
    where c.job_id = j.id and c.class is not null
        and not exists (select from steps s where s.job_id = c.job_id and s.name = c.step)
    order by c.started_at desc, c.id desc limit 1
) c on true
left join lateral (
    select u.scope as line from limit_users u
    where u.worker = j.worker and u.waiting > 0 and u.asked_at > now() - interval '5 seconds'
        and (u.scope = 'tenant:' || j.tenant or u.scope = c.scope
            or c.scope is null and starts_with(u.scope, 'model:'))
    order by u.scope desc limit 1
) l on true
where j.state = 'running' and (c.step is not null or l.line is not null)
    and not exists (select from calls o where o.job_id = j.id and o.state = 'open')
    and exists (select from worker_overview w where w.worker_id = j.worker and w.alive);

-- Breakers that are not closed, of workers that live.
create view breaker_overview as
select b.provider, b.endpoint, b.state, b.since, b.until, b.why, w.worker, w.worker_id
from breakers b
join worker_overview w on w.worker_id = b.worker
where w.alive;

-- Jobs of the last 30 days that nobody works on although somebody should: running without a living
-- worker, or past the end of a wait, for two minutes.
create view stuck_jobs as
select j.id as job_id, j.tenant, j.pipeline, j.state, j.pool, j.priority, w.worker,
    case j.state when 'running' then greatest(j.updated_at, w.heartbeat_at)
        else j.delay_until end as since
from jobs j
left join worker_overview w on w.worker_id = j.worker
where j.created_at >= now() - interval '30 days'
    and (j.state = 'running' and not coalesce(w.alive, false)
            and greatest(j.updated_at, w.heartbeat_at) < now() - interval '2 minutes'
        or j.state = 'waiting' and j.delay_until < now() - interval '2 minutes');
