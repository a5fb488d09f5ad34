-- The judge. It knows the tables, the witness's log (witness.sql) and the promises, nothing of the
-- programs. It wants these temporary tables:
--   expected (id uuid)                the jobs whose enqueue was confirmed
--   known (id uuid)                   the jobs anybody tried to enqueue
--   plan (pipeline, step, paid, after_steps text[])   what the pipelines must do
--   allowed (class text)              what a job may die of in this run
--   prompt (strict bool)              whether nothing (a cap, a limit) may hold a next call back
--   chosen (job uuid, alias text, models text[])   what a step's alias stands for, and its fallbacks
-- One row for each rule: how often it is broken, and three of the jobs.
with ended (state) as (values ('done'), ('dead'), ('cancelled')),
-- A call released without a class was begun and never sent: the next one takes its number. So it is
-- with an answer from the cache that a crash kept from becoming a result.
counted as (select * from millrace.calls where state <> 'released' or class is not null),
ends as (
    select w.* from witness.jobs w
    where w.state in (select state from ended)
        and (w.old_state is null or w.old_state not in (select state from ended))
),
answers as (
    select * from witness.calls
    where state = 'settled' and class is null and old_state is distinct from 'settled'
),
begins as (select * from witness.calls where old_state is null),
last_steps as (
    select distinct on (job) * from witness.steps order by job, n desc
),
rules (rule, job) as (
    -- 1: nothing is lost, one end
    select 'a confirmed job is in SQL', e.id
    from expected e where not exists (select from millrace.jobs j where j.id = e.id)
    union all
    select 'no job came from nowhere', j.id
    from millrace.jobs j where not exists (select from known k where k.id = j.id)
    union all
    select 'every job has ended', id
    from millrace.jobs where state not in (select state from ended)
    union all
    select 'a job ends once', job from ends group by job having count(*) > 1
    union all
    select 'a job dies only of what it met', j.id
    from millrace.jobs j
    where j.state = 'dead' and coalesce(j.error_class, '') not in (select class from allowed)
    union all
    select 'a job is cancelled only when that was asked for', id
    from millrace.jobs
    where state = 'cancelled' and not cancel_requested and duplicate_of is null
    union all
    select 'a done job has exactly one result a step', j.id
    from millrace.jobs j join plan p on p.pipeline = j.pipeline
    where j.state = 'done' and 1 <> (select count(*) from millrace.steps s
        where s.job_id = j.id and s.name = p.step
            and (s.state = 'done' and s.output is not null or s.state = 'skipped'))
    union all
    select 'no step that the pipeline does not have', s.job_id
    from millrace.steps s join millrace.jobs j on j.id = s.job_id
    where not exists (select from plan p where p.pipeline = j.pipeline and p.step = s.name)
    -- 2: result, money, progress and next intent are of one transaction (an answer from the cache is
    -- no money)
    union all
    select 'a result and the money for it are of one transaction', s.job
    from witness.steps s
    join millrace.jobs j on j.id = s.job
    join millrace.steps t on t.job_id = s.job and t.name = s.step
    join plan p on p.pipeline = j.pipeline and p.step = s.step and p.paid
    where s.state = 'done' and not t.degraded and not exists (
        select from answers a where a.job = s.job and a.step = s.step and (a.xid = s.xid
            or exists (select from millrace.calls c where c.id = a.call and c.cached_from is not null)))
    union all
    select 'the last result and the end of a job are of one transaction', e.job
    from ends e join last_steps s on s.job = e.job
    where e.state = 'done' and e.xid <> s.xid
    union all
    select 'a result and the next intent are of one transaction', b.job
    from begins b
    join millrace.jobs j on j.id = b.job
    join plan p on p.pipeline = j.pipeline and p.step = b.step
    cross join lateral (
        select w.* from witness.steps w
        where w.job = b.job and w.step = any (p.after_steps) order by w.n desc limit 1
    ) before
    where (select strict from prompt) and before.job_epoch = b.job_epoch
        and not exists (select from begins o where o.job = b.job and o.step = b.step and o.n < b.n)
        and before.xid <> b.xid
    -- 3: nothing is paid twice
    union all
    select 'no call of a step after it had finished', c.job
    from begins c join witness.steps s on s.job = c.job and s.step = c.step
    where c.n > s.n
    union all
    -- (an answer to a lease that was lost settles a call that had been called ambiguous: paid, no use)
    select 'a finished paid step was answered exactly once', s.job_id
    from millrace.steps s
    join millrace.jobs j on j.id = s.job_id
    join plan p on p.pipeline = j.pipeline and p.step = s.name and p.paid
    cross join lateral (
        select count(distinct a.call) as had,
            count(distinct a.call) filter (where c.cached_from is null) as paid
        from answers a join millrace.calls c on c.id = a.call
        where a.job = s.job_id and a.step = s.name and a.old_state is distinct from 'ambiguous'
    ) n
    where s.state = 'done' and not s.degraded and (n.had = 0 or n.paid > 1)
    union all
    select 'a step begins when all before it have ended', b.job
    from begins b
    join millrace.jobs j on j.id = b.job
    join plan p on p.pipeline = j.pipeline and p.step = b.step
    cross join unnest(p.after_steps) a (step)
    where not exists (select from witness.steps s
        where s.job = b.job and s.step = a.step and s.n < b.n)
    union all
    select 'a step ends once', job from witness.steps group by job, step having count(*) > 1
    -- 4: every request has its row
    union all
    select 'no call is open', job_id from millrace.calls where state = 'open'
    union all
    select 'no call without its job', c.job_id
    from millrace.calls c where not exists (select from millrace.jobs j where j.id = c.job_id)
    union all
    -- (a commit that is said again asks the cache again)
    select 'no row of a call is taken away', job
    from witness.calls where state = 'deleted' and (old_state <> 'settled' or delta <> 0)
    union all
    select 'attempts of a step are numbered without a gap', job_id
    from counted group by job_id, step
    having max(attempt) > count(*)
        or count(distinct attempt) filter (where cached_from is null)
            <> count(*) filter (where cached_from is null)
    -- 5: money
    union all
    select 'a call costs nothing when released, its hold when ambiguous', job_id
    from millrace.calls
    where state = 'released' and cost_pico <> 0 or state = 'ambiguous' and cost_pico <> hold_pico
    union all
    select 'no call costs more than its hold', job_id
    from millrace.calls where cost_pico > hold_pico and cached_from is null
    union all
    select 'a cap holds at every commit', null from witness.faults
    union all
    select 'a job keeps its cap', c.job
    from (
        select c.*, sum(c.delta) over (partition by c.job order by c.n) as total from witness.calls c
    ) c
    cross join lateral (
        select t.cap_job from witness.tenants t
        where t.tenant = c.tenant and t.n < c.n order by t.n desc limit 1
    ) t
    where c.total > t.cap_job and c.delta > 0
    union all
    select 'the counter of a cap says what was spent', null
    from millrace.spend m
    full join (
        select s.* from witness.sums s join millrace.tenants t on t.name = s.tenant
        where s.total > 0 and case s.period when 'day' then t.cap_day_pico
            else t.cap_month_pico end is not null
    ) w on w.tenant = m.tenant and w.period = m.period and w.starts = m.starts
    where coalesce(m.spent_pico, 0) <> coalesce(w.total, 0)
    union all
    select 'views and tables agree on the cost', null
    from (select
        (select coalesce(sum(cost_usd + ambiguous_usd), 0) from millrace.job_overview) as by_job,
        (select coalesce(sum(cost_usd + ambiguous_usd), 0) from millrace.cost_by_model) as by_model,
        (select coalesce(sum(cost_pico), 0) * 0.000000000001 from millrace.calls) as by_call) v
    where by_job <> by_call or by_model <> by_call
    -- routes
    union all
    select 'a call goes where rules and fallbacks send it', c.job_id
    from millrace.calls c join chosen h on h.job = c.job_id and h.alias = c.alias
    where c.provider <> 'local' and c.model is distinct from
        h.models[1 + coalesce(substring(c.route from '^fallback (\d+):')::int, 0)]
    -- leases: nobody writes under a stale epoch
    union all
    select 'a call belongs to the epoch it was begun in', job
    from begins where epoch is distinct from job_epoch or job_state is distinct from 'running'
    union all
    select 'a call is begun by the owner of the lease', job
    from begins where writer is distinct from job_worker
    union all
    select 'a result is written by the owner of the lease', job
    from witness.steps where writer is distinct from job_worker
    union all
    select 'a result is written under the epoch of its call', s.job
    from witness.steps s join answers a on a.job = s.job and a.step = s.step and a.xid = s.xid
    where s.state = 'done' and a.epoch <> s.job_epoch
    union all
    select 'a lease changes hands one epoch at a time', job
    from witness.jobs
    where old_epoch is not null and epoch <> old_epoch
        and (epoch <> old_epoch + 1 or worker is distinct from writer)
    union all
    select 'a job is moved by the owner of the lease', w.job
    from witness.jobs w join millrace.jobs j on j.id = w.job
    where w.old_state = 'running' and w.state <> 'running' and not j.cancel_requested
        and (w.epoch <> w.old_epoch or w.writer is distinct from w.old_worker)
)
select rule, count(*), (array_agg(distinct job::text))[1:3] from rules group by rule order by rule;
