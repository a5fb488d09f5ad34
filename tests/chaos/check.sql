-- The judge. It knows the tables and the promises, nothing of the programs. Wants a temporary table
-- expected(id uuid): the jobs whose enqueue was confirmed. One row a rule; `broken` must be 0.
-- steps_of: what a job of the pipeline under test must have finished.
with steps_of (name) as (values ('extract'), ('summarize'), ('entities')),
rules (rule, broken) as (
    select 'a confirmed job is in SQL', count(*)
    from expected e where not exists (select from millrace.jobs j where j.id = e.id)
    union all
    select 'every job is done', count(*)
    from millrace.jobs where state <> 'done'
    union all
    select 'no job came from nowhere', count(*)
    from millrace.jobs j where not exists (select from expected e where e.id = j.id)
    union all
    select 'exactly one result a job and step', count(*)
    from expected e cross join steps_of s
    where 1 <> (select count(*) from millrace.steps t
        where t.job_id = e.id and t.name = s.name and t.state = 'done' and t.output is not null)
    union all
    select 'no step that the pipeline does not have', count(*)
    from millrace.steps t where not exists (select from steps_of s where s.name = t.name)
    union all
    select 'no call of a step after it had finished', count(*)
    from millrace.calls c join millrace.steps t on t.job_id = c.job_id and t.name = c.step
    where c.started_at > t.ended_at
    union all
    select 'a finished paid step was answered exactly once', count(*)
    from millrace.steps t
    where t.name <> 'extract' and 1 <> (select count(*) from millrace.calls c
        where c.job_id = t.job_id and c.step = t.name and c.state = 'settled' and c.class is null)
    union all
    select 'no call is open', count(*) from millrace.calls where state = 'open'
    union all
    select 'no call without its job', count(*)
    from millrace.calls c where not exists (select from millrace.jobs j where j.id = c.job_id)
    union all
    select 'a call costs nothing when released, its hold when ambiguous', count(*)
    from millrace.calls
    where state = 'released' and cost_pico <> 0 or state = 'ambiguous' and cost_pico <> hold_pico
    union all
    select 'no call costs more than its hold', count(*)
    from millrace.calls where cost_pico > hold_pico
    union all
    select 'attempts of a step are numbered without a gap', count(*)
    from (select 1 from millrace.calls group by job_id, step
        having count(distinct attempt) <> max(attempt) or count(*) <> max(attempt)) g
    union all
    select 'a call belongs to no later epoch than its job', count(*)
    from millrace.calls c join millrace.jobs j on j.id = c.job_id where c.epoch > j.epoch
    union all
    select 'views and tables agree on the cost', count(*)
    from (select
        (select coalesce(sum(cost_usd + ambiguous_usd), 0) from millrace.job_overview) as by_job,
        (select coalesce(sum(cost_usd + ambiguous_usd), 0) from millrace.cost_by_model) as by_model,
        (select coalesce(sum(cost_pico), 0) * 0.000000000001 from millrace.calls) as by_call) v
    where by_job <> by_call or by_model <> by_call
)
select rule, broken from rules;
