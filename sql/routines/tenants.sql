-- Periods a call that is begun about now may belong to. Yesterday's too: somebody may have begun
-- before midnight and be waiting at the door.
create function spend_starts(p_period text, p_at timestamptz) returns setof date
language sql immutable set search_path = millrace, pg_temp as $$
    select distinct period_start(p_period, p_at - back)
        from unnest(array[interval '1 day', interval '0']) back;
$$;

-- For counters of these periods that are not there yet: what the tenant's calls begun before p_edge
-- have cost (settled: by period and start), and those of them that may still change (loose). p_edge
-- is so long ago that no transaction which began then is still to write: a worker's lasts a minute.
create function spend_before(p_tenant text, p_period text[], p_now timestamptz,
    p_edge timestamptz, out settled jsonb, out loose uuid[])
language sql stable set search_path = millrace, pg_temp as $$
    with need as materialized (
        select p.period, n.starts, p.period || n.starts as name,
            n.starts::timestamp at time zone 'UTC' as since,
            least(p_edge, (n.starts + ('1 ' || p.period)::interval) at time zone 'UTC') as until
        from unnest(p_period) p (period)
        cross join lateral spend_starts(p.period, p_now) n (starts)
        where not exists (select from spend s where s.tenant = p_tenant
            and s.period = p.period and s.starts = n.starts)
    ), found as materialized (
        select c.id, c.started_at, c.cost_pico, c.state in ('open', 'ambiguous') as loose
        from calls c
        where c.tenant = p_tenant and c.started_at >= (select min(since) from need)
            and c.started_at < (select max(until) from need)
    )
    select (select jsonb_object_agg(n.name, coalesce((select sum(f.cost_pico) from found f
            where not f.loose and f.started_at >= n.since and f.started_at < n.until), 0))
            from need n),
        array(select id from found where loose);
$$;

-- Makes the counter of a period, of which spend_before has seen the greater part.
create function spend_resume(p_tenant text, p_period text, p_starts date, p_edge timestamptz,
    p_settled numeric, p_loose uuid[]) returns void
language sql volatile set search_path = millrace, pg_temp as $$
    insert into spend (tenant, period, starts, spent_pico)
        select p_tenant, p_period, p_starts, p_settled + coalesce(sum(x.pico), 0)
        from (
            select c.started_at, case c.state when 'open' then c.hold_pico else c.cost_pico end
                as pico
            from calls c where c.tenant = p_tenant and c.started_at >= p_edge
            union all
            select c.started_at, case c.state when 'open' then c.hold_pico else c.cost_pico end
            from calls c where c.id = any (p_loose)
        ) x
        where x.started_at >= p_starts::timestamp at time zone 'UTC'
            and x.started_at < (p_starts + ('1 ' || p_period)::interval) at time zone 'UTC';
$$;

-- Sets a tenant's caps and limits. p_change names what is to change: cap_day, cap_month, cap_job,
-- on_cap, rpm, tpm (null takes a cap or a limit away); without it, whatever is not null.
--
-- A counter counts only while its cap is there. So a change of caps shuts the door for a moment:
-- whoever writes calls has locked the table first, and has ended before, or begins after with the
-- new caps. A cap that was not there before starts with what the tenant's calls have committed in
-- this period. Most of that is added up while the door is still open (spend_before); behind it only
-- the last hour's calls are, and those that had not ended.
create function tenant_set(p_name text, p_cap_day_pico numeric default null,
    p_cap_month_pico numeric default null, p_cap_job_pico numeric default null,
    p_on_cap text default null, p_rpm int default null, p_tpm bigint default null,
    p_change text[] default null)
returns void language plpgsql volatile security definer
set search_path = millrace, pg_temp as $$
declare
    v_change text[] := coalesce(p_change, array_remove(array[
        case when p_cap_day_pico is not null then 'cap_day' end,
        case when p_cap_month_pico is not null then 'cap_month' end,
        case when p_cap_job_pico is not null then 'cap_job' end,
        case when p_on_cap is not null then 'on_cap' end,
        case when p_rpm is not null then 'rpm' end,
        case when p_tpm is not null then 'tpm' end], null));
    v_unknown text;
    t tenants;
    k record;
    v_now timestamptz;
    v_edge timestamptz;
    v_loose uuid[];
    v_settled jsonb;
begin
    select c into v_unknown from unnest(v_change) c
        where c <> all (array['cap_day', 'cap_month', 'cap_job', 'on_cap', 'rpm', 'tpm']);
    if found then
        raise exception 'a tenant has no setting %', v_unknown
            using errcode = 'invalid_parameter_value';
    end if;
    if v_change && array['cap_day', 'cap_month', 'cap_job'] then
        -- Nobody else changes caps now, or computes again what calls have cost.
        perform pg_advisory_xact_lock(1835625580, -1);
        v_now := clock_timestamp();
        v_edge := v_now - interval '1 hour';
        select s.loose, s.settled into v_loose, v_settled from spend_before(p_name, array(
            select v.period from (values ('day', 'cap_day', p_cap_day_pico),
                ('month', 'cap_month', p_cap_month_pico)) v (period, setting, cap)
            where v.setting = any (v_change) and v.cap is not null), v_now, v_edge) s;
        lock table calls in share row exclusive mode;
    end if;
    insert into tenants (name) values (p_name) on conflict do nothing;
    update tenants set updated_at = now(),
        cap_day_pico = case when 'cap_day' = any (v_change) then p_cap_day_pico
            else cap_day_pico end,
        cap_month_pico = case when 'cap_month' = any (v_change) then p_cap_month_pico
            else cap_month_pico end,
        cap_job_pico = case when 'cap_job' = any (v_change) then p_cap_job_pico
            else cap_job_pico end,
        on_cap = case when 'on_cap' = any (v_change) then coalesce(p_on_cap, 'park')
            else on_cap end,
        rpm = case when 'rpm' = any (v_change) then p_rpm else rpm end,
        tpm = case when 'tpm' = any (v_change) then p_tpm else tpm end
        where name = p_name returning * into t;
    for k in
        select * from (values ('day', 'cap_day', t.cap_day_pico),
            ('month', 'cap_month', t.cap_month_pico)) v (period, setting, cap)
            where v.setting = any (v_change)
    loop
        if k.cap is null then
            delete from spend where tenant = p_name and period = k.period;
            continue;
        end if;
        -- Yesterday too: somebody may have begun before midnight and be waiting at the door.
        perform case when v_settled ? (k.period || starts)
                then spend_resume(p_name, k.period, starts, v_edge,
                    (v_settled ->> (k.period || starts))::numeric, v_loose)
                else spend_start(p_name, k.period, starts) end
            from spend_starts(k.period, clock_timestamp()) starts
            where not exists (select from spend s where s.tenant = p_name
                and s.period = k.period and s.starts = starts);
        update spend set warned_at = case when spent_pico >= 0.8 * k.cap then warned_at end,
            reached_at = null where tenant = p_name and period = k.period;
    end loop;
end $$;
