-- Watches the tables while the product runs. Nothing here asks the product's own counters: every
-- change of a job, a step or a call is written down as it is made, with the transaction it belongs to
-- and the worker whose session made it, and a tenant's money is added up again when each transaction
-- commits. Loaded by the tests as millrace_owner, never shipped.
drop schema if exists witness cascade;
create schema witness;
create sequence witness.moment cache 1; -- one order for all three logs

create table witness.jobs (
    n bigint primary key default nextval('witness.moment'),
    xid xid8 not null default pg_current_xact_id(),
    writer bigint,
    job uuid not null,
    old_state text, state text not null,
    old_epoch bigint, epoch bigint not null,
    old_worker bigint, worker bigint
);
create table witness.steps (
    n bigint primary key default nextval('witness.moment'),
    xid xid8 not null default pg_current_xact_id(),
    writer bigint,
    job uuid not null, step text not null, state text not null,
    job_state text, job_epoch bigint, job_worker bigint
);
-- committed: what the call takes of its tenant's caps from here on.
create table witness.calls (
    n bigint primary key default nextval('witness.moment'),
    xid xid8 not null default pg_current_xact_id(),
    writer bigint,
    call uuid not null, job uuid not null, step text not null, tenant text not null,
    starts timestamptz not null,
    old_state text, state text not null, class text, epoch bigint not null,
    job_state text, job_epoch bigint, job_worker bigint,
    committed numeric not null, delta numeric not null
);
-- What a tenant allows each of its jobs from here on.
create table witness.tenants (
    n bigint primary key default nextval('witness.moment'),
    tenant text not null, cap_job numeric
);
create index on witness.jobs (job);
create index on witness.steps (job);
create index on witness.calls (job);
create index on witness.calls (xid);
create table witness.sums (
    tenant text, period text, starts date, total numeric not null, high numeric not null,
    primary key (tenant, period, starts)
);
create table witness.faults (
    at timestamptz not null default clock_timestamp(), tenant text, period text, total numeric,
    cap numeric
);

-- Each worker's session says who it is: it alone inserts its row and renews its heartbeat.
create function witness.note_worker() returns trigger language plpgsql security definer as $$
begin
    perform set_config('witness.worker', new.id::text, false);
    return null;
end $$;
create trigger witness_insert after insert on millrace.workers
    for each row execute function witness.note_worker();
create trigger witness_update after update of heartbeat_at on millrace.workers
    for each row execute function witness.note_worker();

create function witness.writer() returns bigint language sql stable
    return nullif(current_setting('witness.worker', true), '')::bigint;

create function witness.note_jobs() returns trigger language plpgsql security definer as $$
begin
    if tg_op = 'INSERT' then
        insert into witness.jobs (writer, job, state, epoch, worker)
            select witness.writer(), id, state, epoch, worker from fresh;
    else
        insert into witness.jobs (writer, job, old_state, state, old_epoch, epoch, old_worker,
                worker)
            select witness.writer(), f.id, s.state, f.state, s.epoch, f.epoch, s.worker, f.worker
            from fresh f join stale s on s.id = f.id
            where (s.state, s.epoch, s.worker) is distinct from (f.state, f.epoch, f.worker);
    end if;
    return null;
end $$;
create trigger witness_insert after insert on millrace.jobs referencing new table as fresh
    for each statement execute function witness.note_jobs();
create trigger witness_update after update on millrace.jobs
    referencing old table as stale new table as fresh
    for each statement execute function witness.note_jobs();

-- Caps change while nobody writes calls (see millrace.tenant_set), so this log is in order with
-- theirs.
create function witness.note_tenant() returns trigger language plpgsql security definer as $$
begin
    insert into witness.tenants (tenant, cap_job) values (new.name, new.cap_job_pico);
    return null;
end $$;
create trigger witness_tenant after insert or update on millrace.tenants
    for each row execute function witness.note_tenant();

create function witness.note_steps() returns trigger language plpgsql security definer as $$
begin
    insert into witness.steps (writer, job, step, state, job_state, job_epoch, job_worker)
        select witness.writer(), f.job_id, f.name, f.state, j.state, j.epoch, j.worker
        from fresh f left join millrace.jobs j on j.id = f.job_id;
    return null;
end $$;
create trigger witness_insert after insert on millrace.steps referencing new table as fresh
    for each statement execute function witness.note_steps();

-- An open call may cost its hold, and so may an ambiguous one.
create function witness.committed(state text, hold numeric, cost numeric) returns numeric
    language sql immutable
    return case state when 'open' then hold when 'ambiguous' then hold when 'settled' then cost
        else 0 end;

create function witness.note_calls() returns trigger language plpgsql security definer as $$
begin
    if tg_op = 'INSERT' then
        insert into witness.calls (writer, call, job, step, tenant, starts, state, class, epoch,
                job_state, job_epoch, job_worker, committed, delta)
            select witness.writer(), f.id, f.job_id, f.step, f.tenant, f.started_at, f.state,
                f.class, f.epoch, j.state, j.epoch, j.worker, v.committed, v.committed
            from fresh f
            left join millrace.jobs j on j.id = f.job_id
            cross join lateral witness.committed(f.state, f.hold_pico, f.cost_pico) v (committed);
    elsif tg_op = 'DELETE' then
        insert into witness.calls (writer, call, job, step, tenant, starts, old_state, state, class,
                epoch, committed, delta)
            select witness.writer(), s.id, s.job_id, s.step, s.tenant, s.started_at, s.state,
                'deleted', s.class, s.epoch, 0,
                -witness.committed(s.state, s.hold_pico, s.cost_pico)
            from stale s;
    else
        insert into witness.calls (writer, call, job, step, tenant, starts, old_state, state,
                class, epoch, job_state, job_epoch, job_worker, committed, delta)
            select witness.writer(), f.id, f.job_id, f.step, f.tenant, f.started_at, s.state,
                f.state, f.class, f.epoch, j.state, j.epoch, j.worker, v.committed,
                v.committed - witness.committed(s.state, s.hold_pico, s.cost_pico)
            from fresh f
            join stale s on s.id = f.id
            left join millrace.jobs j on j.id = f.job_id
            cross join lateral witness.committed(f.state, f.hold_pico, f.cost_pico) v (committed);
    end if;
    return null;
end $$;
create trigger witness_insert after insert on millrace.calls referencing new table as fresh
    for each statement execute function witness.note_calls();
create trigger witness_update after update on millrace.calls
    referencing old table as stale new table as fresh
    for each statement execute function witness.note_calls();
create trigger witness_delete after delete on millrace.calls referencing old table as stale
    for each statement execute function witness.note_calls();

-- Runs when a transaction commits, once, however many calls it changed. The rows of sums are locked
-- in one order and until the end of the commit, so each total is exact at that moment: whoever
-- commits next adds to it.
create function witness.weigh() returns trigger language plpgsql security definer as $$
declare
    r record;
    v_total numeric;
begin
    if current_setting('witness.weighed', true) = pg_current_xact_id()::text then
        return null;
    end if;
    perform set_config('witness.weighed', pg_current_xact_id()::text, true);
    for r in
        select c.tenant, p.period, date_trunc(p.period, c.starts at time zone 'utc')::date as starts,
            case p.period when 'day' then t.cap_day_pico else t.cap_month_pico end as cap,
            sum(c.delta) as delta, bool_or(c.delta > 0) as grows
        from witness.calls c
        left join millrace.tenants t on t.name = c.tenant
        cross join (values ('day'), ('month')) p (period)
        where c.xid = pg_current_xact_id()
        group by 1, 2, 3, 4 order by 1, 2, 3
    loop
        insert into witness.sums as s values (r.tenant, r.period, r.starts, r.delta, r.delta)
            on conflict (tenant, period, starts) do update
                set total = s.total + excluded.total,
                    high = greatest(s.high, s.total + excluded.total)
            returning total into v_total;
        -- A cap that was lowered may be exceeded, but nothing more may be taken of it.
        if v_total > r.cap and r.grows then
            insert into witness.faults values (default, r.tenant, r.period, v_total, r.cap);
        end if;
    end loop;
    return null;
end $$;
create constraint trigger weigh after insert on witness.calls deferrable initially deferred
    for each row when (new.delta <> 0) execute function witness.weigh();

-- A clean slate between two runs; prices and migrations stay.
create function witness.forget() returns void language plpgsql as $$
begin
    execute (select 'truncate ' || string_agg(format('%I.%I', schemaname, tablename), ', ')
        from pg_tables where schemaname in ('millrace', 'witness')
            and tablename not in ('migrations', 'prices'));
end $$;
