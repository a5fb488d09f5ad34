-- Costs computed again from stored usage. Only the owner may: no role is granted these.

-- The row of the price table for a call, as mr_price_find finds it: an exact name before the
-- longest beginning, the highest tier that fits, the latest of several. No row: unknown. Without
-- settings of its own it becomes part of the query that asks.
create function price_of(p_provider text, p_model text, p_at timestamptz, p_prompt bigint)
returns setof prices language sql stable rows 1 as $$
    select * from millrace.prices
        where provider = p_provider
            and (right(model, 1) <> '*' and model = p_model
                or right(model, 1) = '*' and starts_with(p_model, left(model, -1)))
            and effective_from <= p_at and (effective_to is null or effective_to > p_at)
            and (above_tokens = 0 or p_prompt > above_tokens)
        order by right(model, 1) = '*', length(model) desc, above_tokens desc,
            effective_from desc
        limit 1;
$$;

-- What settled calls cost by the prices that were in force when they were begun. Answers from the
-- cache cost nothing whatever prices say.
create function cost_again(p_since timestamptz, p_until timestamptz, p_tenant text,
    p_ceiling_input bigint, p_ceiling_output bigint)
returns table (call_id uuid, tenant text, started_at timestamptz, provider text, model text,
    old_pico numeric, new_pico numeric, price_id bigint, price_unknown boolean, changed boolean)
language sql stable set search_path = millrace, pg_temp as $$
    select c.id, c.tenant, c.started_at, c.provider, c.model, c.cost_pico, n.pico, p.id,
        p.id is null, c.cost_pico <> n.pico or c.price_id is distinct from p.id
            or c.price_unknown <> (p.id is null)
    from calls c
    left join lateral price_of(c.provider, c.model, c.started_at, c.input_tokens + c.cached_tokens
        + c.cache_write_tokens + c.cache_write_1h_tokens) p on true
    cross join lateral (
        select c.input_tokens::numeric * coalesce(p.input_pico, p_ceiling_input)
            + c.cached_tokens::numeric * coalesce(p.cached_pico, p_ceiling_input)
            + c.cache_write_tokens::numeric * coalesce(p.cache_write_pico, p_ceiling_input)
            + c.cache_write_1h_tokens::numeric * coalesce(p.cache_write_1h_pico, p_ceiling_input)
            + c.output_tokens::numeric * coalesce(p.output_pico, p_ceiling_output) as pico
    ) n
    where c.started_at >= p_since and c.started_at < p_until
        and (p_tenant is null or c.tenant = p_tenant)
        and c.state = 'settled' and c.cached_from is null and n.pico is not null;
$$;

-- Writes them, and the difference into the tenants' counters: in the order of locks of caps.sql,
-- calls before spend, and nothing is waited for once rows of spend are locked. A cap may be
-- exceeded afterwards: what calls have cost does not depend on it. Two do not run at once. The
-- running month is locked against every other writer of calls: ask for it in small pieces.
create function recost(p_since timestamptz, p_until timestamptz, p_tenant text,
    p_ceiling_input bigint, p_ceiling_output bigint, p_write boolean)
returns table (provider text, model text, calls bigint, changed bigint, unknown bigint,
    old_pico numeric, new_pico numeric)
language plpgsql volatile set search_path = millrace, pg_temp as $$
#variable_conflict use_column
declare
    v_tenant text[];
    v_day date[];
    v_pico numeric[];
begin
    perform pg_advisory_xact_lock(1835625580, -1);
    -- A counter that is begun meanwhile would add up what calls cost before.
    if p_write and p_until > date_trunc('month', now(), 'UTC') then
        lock table calls in share row exclusive mode;
    end if;
    create temp table recosted on commit drop as
        select * from cost_again(p_since, p_until, p_tenant, p_ceiling_input, p_ceiling_output);
    if p_write then
        update calls c set cost_pico = n.new_pico, price_id = n.price_id,
            price_unknown = n.price_unknown, recosted_at = clock_timestamp()
            from recosted n where n.changed and c.id = n.call_id;
        select array_agg(d.tenant), array_agg(d.day), array_agg(d.pico)
            into v_tenant, v_day, v_pico
            from (
                select n.tenant, period_start('day', n.started_at) as day,
                    sum(n.new_pico - n.old_pico) as pico
                from recosted n where n.changed group by 1, 2
            ) d
            where d.pico <> 0;
        perform from spend s
            where s.tenant = any (v_tenant) and (s.period = 'day' and s.starts = any (v_day)
                or s.period = 'month' and s.starts in
                    (select date_trunc('month', d.day)::date from unnest(v_day) d (day)))
            order by s.tenant, s.period, s.starts for update;
        update spend s set spent_pico = s.spent_pico + d.pico
            from (
                select u.tenant, p.period, date_trunc(p.period, u.day)::date as starts,
                    sum(u.pico) as pico
                from unnest(v_tenant, v_day, v_pico) u (tenant, day, pico)
                cross join (values ('day'), ('month')) p (period)
                group by 1, 2, 3
            ) d
            where s.tenant = d.tenant and s.period = d.period and s.starts = d.starts;
    end if;
    return query
        select n.provider, n.model, count(*), count(*) filter (where n.changed),
            count(*) filter (where n.price_unknown), sum(n.old_pico), sum(n.new_pico)
        from recosted n group by 1, 2;
    drop table recosted;
end $$;
