-- What `millrace explain` and `millrace doctor` ask.

-- The least id of version 7 that can be made at this time: a way into the index of ids by time.
create function first_id(p_at timestamptz) returns uuid language sql immutable parallel safe
    return (lpad(to_hex(floor(extract(epoch from p_at) * 1000)::bigint), 12, '0')
        || '00000000000000000000')::uuid;

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
where j.id >= first_id(now() - interval '30 days')
    and (j.state = 'running' and not coalesce(w.alive, false)
            and greatest(j.updated_at, w.heartbeat_at) < now() - interval '2 minutes'
        or j.state = 'waiting' and j.delay_until < now() - interval '2 minutes');
