-- What a person queries. cost_usd is what was settled; ambiguous_usd is what calls may have cost
-- whose answer never came; held_usd is the bound on the calls that are running now. `hits` are
-- the calls that were answered from the cache, for nothing.

create view job_overview as
select j.id as job_id, j.tenant, j.pipeline, j.version, j.state, j.priority, j.pool,
    coalesce(s.done, 0)::int as steps_done,
    coalesce(j.error_step, c.open_step) as step,
    coalesce(c.made, 0)::int as attempts,
    j.redeliveries, j.replays,
    usd(c.settled) as cost_usd, usd(c.held) as held_usd, usd(c.ambiguous) as ambiguous_usd,
    j.created_at, j.claimed_at, j.ended_at, j.delay_until, j.deadline,
    w.name as worker,
    j.error_class, j.error_message, j.error_step, j.duplicate_of, j.degraded, j.cancel_requested,
    j.idempotency_key, j.metadata, j.worker as worker_id
from jobs j
left join workers w on w.id = j.worker
left join lateral (
    select count(*) filter (where state = 'done') as done from steps where job_id = j.id
) s on true
left join lateral (
    select count(*) filter (where cached_from is null) as made,
        sum(cost_pico) filter (where state = 'settled') as settled,
        sum(cost_pico) filter (where state = 'ambiguous') as ambiguous,
        sum(hold_pico) filter (where state = 'open') as held,
        (array_agg(step order by started_at desc) filter (where state = 'open'))[1] as open_step
    from calls where job_id = j.id
) c on true;

-- `cached`: what a step has brought is an answer from the cache, as its last settled call was.
-- Two halves, so that a condition on job_id reaches the indexes of both tables.
create view job_steps as
select s.job_id, s.name as step, s.state, s.attempts, s.started_at, s.ended_at,
    usd((select sum(c.cost_pico) from calls c
        where c.job_id = s.job_id and c.step = s.name and c.state = 'settled')) as cost_usd,
    s.degraded, s.error_class, s.error_message, s.state = 'done' and coalesce((
        select c.cached_from is not null from calls c
        where c.job_id = s.job_id and c.step = s.name and c.state = 'settled'
        order by c.started_at desc, c.id desc limit 1), false) as cached
from steps s
union all
select c.job_id, c.step,
    case when j.state in ('running', 'waiting') then 'running' else 'failed' end,
    (count(*) filter (where c.cached_from is null))::int, min(c.started_at), j.ended_at,
    usd(sum(c.cost_pico) filter (where c.state = 'settled')), false,
    (array_agg(c.class order by c.started_at desc, c.id desc))[1],
    (array_agg(c.message order by c.started_at desc, c.id desc))[1], false
from calls c
join jobs j on j.id = c.job_id
where not exists (select from steps s where s.job_id = c.job_id and s.name = c.step)
group by c.job_id, c.step, j.state, j.ended_at;

create view results as
select s.job_id, j.tenant, j.pipeline, s.name as step, s.output,
    usd((select sum(c.cost_pico) from calls c
        where c.job_id = s.job_id and c.step = s.name and c.state = 'settled')) as cost_usd,
    s.attempts, s.degraded, s.ended_at, coalesce((
        select c.cached_from is not null from calls c
        where c.job_id = s.job_id and c.step = s.name and c.state = 'settled'
        order by c.started_at desc, c.id desc limit 1), false) as cached
from steps s
join jobs j on j.id = s.job_id
where s.state = 'done';

create view cost_by_tenant_day as
select tenant, (started_at at time zone 'UTC')::date as day,
    count(distinct job_id) as jobs, count(*) as calls,
    count(cached_from) as hits,
    coalesce(sum(input_tokens), 0)::bigint as input_tokens,
    coalesce(sum(cached_tokens), 0)::bigint as cached_tokens,
    coalesce(sum(output_tokens), 0)::bigint as output_tokens,
    usd(sum(cost_pico) filter (where state = 'settled')) as cost_usd,
    usd(sum(cost_pico) filter (where state = 'ambiguous')) as ambiguous_usd
from calls
group by tenant, day;

create view cost_by_model as
select provider, model, count(*) as calls, count(cached_from) as hits,
    coalesce(sum(input_tokens), 0)::bigint as input_tokens,
    coalesce(sum(cached_tokens), 0)::bigint as cached_tokens,
    coalesce(sum(output_tokens), 0)::bigint as output_tokens,
    usd(sum(cost_pico) filter (where state = 'settled')) as cost_usd,
    usd(sum(cost_pico) filter (where state = 'ambiguous')) as ambiguous_usd,
    round(avg(latency_ms) filter (where state = 'settled' and cached_from is null), 1) as avg_latency_ms
from calls
group by provider, model;

create view cost_by_pipeline_step as
select pipeline, step, count(*) as calls, count(cached_from) as hits,
    usd(sum(cost_pico) filter (where state = 'settled')) as cost_usd,
    usd(sum(cost_pico) filter (where state = 'ambiguous')) as ambiguous_usd
from calls
group by pipeline, step;

-- One row per call, for adding up by whatever is asked. A hit is an answer from the cache: it cost
-- nothing. hold_usd is the bound that was taken for it, held_usd what is held now.
create view call_costs as
select id as call_id, job_id, tenant, pipeline, step, provider, endpoint, alias, model,
    served_model, state,
    started_at, settled_at, attempt, route, class, message, http_status, request_id,
    input_tokens, cached_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens,
    reasoning_tokens, cached_from is not null as hit, cached_from, price_id, price_unknown,
    recosted_at,
    usd(case when state = 'settled' then cost_pico end) as cost_usd,
    usd(case when state = 'ambiguous' then cost_pico end) as ambiguous_usd,
    usd(case when state = 'open' then hold_pico end) as held_usd,
    usd(hold_pico) as hold_usd, latency_ms
from calls;

-- Prices as people write them: dollars a million tokens.
create view price_list as
select id as price_id, provider, model, nullif(above_tokens, 0) as above_tokens,
    trim_scale(input_pico / 1000000.0) as input_usd,
    trim_scale(cached_pico / 1000000.0) as cached_usd,
    trim_scale(cache_write_pico / 1000000.0) as cache_write_usd,
    trim_scale(cache_write_1h_pico / 1000000.0) as cache_write_1h_usd,
    trim_scale(output_pico / 1000000.0) as output_usd,
    batch_percent, nullif(effective_from, 'epoch') as effective_from, effective_to, source
from prices;

-- Models that were charged at the ceiling of late, since the price table did not know them.
create view unpriced_models as
select provider, model, count(*) as calls, min(started_at) as first_at, max(started_at) as last_at,
    usd(sum(cost_pico)) as cost_usd
from calls
where price_unknown and cached_from is null and started_at > now() - interval '90 days'
group by provider, model;

create view dead_jobs as
select o.job_id, o.tenant, o.pipeline, o.error_step as step, o.error_class, o.error_message,
    o.attempts, o.cost_usd + o.ambiguous_usd as spent_usd, o.steps_done, o.worker,
    o.ended_at as died_at, o.replays
from job_overview o
join jobs j on j.id = o.job_id
where o.state = 'dead' and j.dropped_at is null
union all
select r.id, r.tenant, r.pipeline, null, r.class, r.message, 0, usd(0), 0, w.name, r.last_at, 0
from rejects r
left join workers w on w.id = r.worker
where r.dropped_at is null;

-- Tenants that have settings, or calls this month.
create view tenant_overview as
with c as (
    select tenant, state, cost_pico, hold_pico,
        started_at >= period_start('day', now())::timestamp at time zone 'UTC' as today
    from calls
    where started_at >= period_start('month', now())::timestamp at time zone 'UTC'
), s as (
    select tenant,
        sum(cost_pico) filter (where today and state = 'settled') as day_settled,
        sum(hold_pico) filter (where today and state = 'open') as day_held,
        sum(cost_pico) filter (where today and state = 'ambiguous') as day_ambiguous,
        sum(cost_pico) filter (where state = 'settled') as month_settled,
        sum(hold_pico) filter (where state = 'open') as month_held,
        sum(cost_pico) filter (where state = 'ambiguous') as month_ambiguous
    from c group by tenant
)
select coalesce(t.name, s.tenant) as tenant,
    case when t.cap_day_pico is not null then usd(t.cap_day_pico) end as cap_day_usd,
    case when t.cap_month_pico is not null then usd(t.cap_month_pico) end as cap_month_usd,
    case when t.cap_job_pico is not null then usd(t.cap_job_pico) end as cap_job_usd,
    coalesce(t.on_cap, 'park') as on_cap, t.rpm, t.tpm,
    usd(s.day_settled) as day_settled_usd, usd(s.day_held) as day_held_usd,
    usd(s.day_ambiguous) as day_ambiguous_usd,
    usd(s.month_settled) as month_settled_usd, usd(s.month_held) as month_held_usd,
    usd(s.month_ambiguous) as month_ambiguous_usd,
    d.warned_at as day_warned_at, d.reached_at as day_reached_at,
    m.warned_at as month_warned_at, m.reached_at as month_reached_at
from tenants t
full join s on s.tenant = t.name
left join spend d on d.tenant = t.name and d.period = 'day'
    and d.starts = period_start('day', now())
left join spend m on m.tenant = t.name and m.period = 'month'
    and m.starts = period_start('month', now());
