-- Sets a tenant's caps and limits. p_change names what is to change: cap_day, cap_month, cap_job,
-- on_cap, rpm, tpm (null takes a cap or a limit away); without it, whatever is not null.
--
-- A counter counts only while its cap is there. So a change of caps shuts the door for a moment:
-- whoever writes calls has locked the table first, and has ended before, or begins after with the
-- new caps. A cap that was not there before starts with what the tenant's calls have committed in
-- this period, which is a look at all calls of it.
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
begin
    select c into v_unknown from unnest(v_change) c
        where c <> all (array['cap_day', 'cap_month', 'cap_job', 'on_cap', 'rpm', 'tpm']);
    if found then
        raise exception 'a tenant has no setting %', v_unknown
            using errcode = 'invalid_parameter_value';
    end if;
    if v_change && array['cap_day', 'cap_month', 'cap_job'] then
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
        perform spend_start(p_name, k.period, starts)
            from (select distinct period_start(k.period, clock_timestamp() - back) as starts
                from unnest(array[interval '1 day', interval '0']) back) d;
        update spend set warned_at = case when spent_pico >= 0.8 * k.cap then warned_at end,
            reached_at = null where tenant = p_name and period = k.period;
    end loop;
end $$;
