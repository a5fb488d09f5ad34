-- Workers write through functions only; producers may cancel and drop; all three may read the views.
-- Caps and prices are for the owner to set: what spends money must not lift what bounds it.
revoke all on schema millrace from public;
revoke all on all tables in schema millrace from public;
revoke all on all routines in schema millrace from public;
revoke all on all tables in schema millrace
    from millrace_worker, millrace_producer, millrace_reader;
revoke all on all routines in schema millrace
    from millrace_worker, millrace_producer, millrace_reader;

grant usage on schema millrace to millrace_worker, millrace_producer, millrace_reader;
grant select on migrations, prices to millrace_worker, millrace_producer, millrace_reader;
grant select on job_overview, job_steps, results, cost_by_tenant_day, cost_by_model,
    cost_by_pipeline_step, call_costs, price_list, unpriced_models, dead_jobs, tenant_overview,
    worker_overview, breaker_overview, stuck_jobs, cost_history, job_waits, limit_overview
    to millrace_producer, millrace_reader;
-- A view's functions run with the rights of who reads it.
grant execute on function usd(numeric), utc(timestamptz), period_start
    to millrace_worker, millrace_producer, millrace_reader;
grant execute on function cancel(uuid) to millrace_producer;
grant execute on function drop_dead(uuid[]) to millrace_producer;
grant execute on function worker_start(text, text, int, text, text) to millrace_worker;
grant execute on function worker_resume(bigint) to millrace_worker;
grant execute on function worker_heartbeat(bigint) to millrace_worker;
grant execute on function worker_stop(bigint) to millrace_worker;
grant execute on function claim, settle, commit_jobs, reject, sweep,
    note_breakers, lease_limits to millrace_worker;
