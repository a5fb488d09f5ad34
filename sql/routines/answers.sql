-- Answers that equal calls of one tenant share, and one call for all who ask the same at once.

-- Which of the calls that are to begin need not: `hit` (the answer is here) or `wait` (its call is
-- out, for somebody else, or ends in this very transaction: p_settled). All others are to bring the
-- answer themselves. An answer whose call will not come back any more, or that is too old, is taken
-- over. Only new rows are waited for, and so they come first: see caps.sql.
create function answers_ask(p_item int[], p_id uuid[], p_tenant text[], p_key bytea[],
    p_timeout_ms bigint[], p_settled uuid[])
returns table (item int, verdict text, source uuid, words text, served_model text,
    finish_reason text)
language plpgsql volatile set search_path = millrace, pg_temp as $$
#variable_conflict use_column
declare
    v_hit int[] := '{}';
begin
    for item, verdict, source, words, served_model, finish_reason in
        select u.item, 'hit', a.call_id, a.text, a.served_model, a.finish_reason
        from unnest(p_item, p_tenant, p_key) u (item, tenant, key)
        join answers a on a.tenant = u.tenant and a.key = u.key
        where a.state = 'ready' and a.expires_at > now()
    loop
        v_hit := v_hit || item;
        return next;
    end loop;

    insert into answers (tenant, key, call_id, state, expires_at)
        select distinct on (u.tenant, u.key) u.tenant, u.key, u.id, 'pending',
            now() + make_interval(secs => u.timeout_ms * 0.001 + 10)
        from unnest(p_item, p_id, p_tenant, p_key, p_timeout_ms) u (item, id, tenant, key,
            timeout_ms)
        where u.item <> all (v_hit)
        order by u.tenant, u.key, u.item
        on conflict do nothing;

    with want as (
        select distinct on (u.tenant, u.key) u.tenant, u.key, u.id, u.timeout_ms
        from unnest(p_item, p_id, p_tenant, p_key, p_timeout_ms) u (item, id, tenant, key,
            timeout_ms)
        where u.item <> all (v_hit)
        order by u.tenant, u.key, u.item
    ), seen as materialized (
        select a.tenant, a.key, a.call_id
        from want w
        join answers a on a.tenant = w.tenant and a.key = w.key
        where a.call_id <> w.id and a.call_id <> all (p_settled)
            and (a.state = 'ready' and a.expires_at <= now()
                or a.state = 'pending' and not exists (select from calls c
                    where c.id = a.call_id and c.state = 'open' and c.expires_at > now()))
    ), old as (
        -- Somebody may have taken it over, or filled it, since this statement began to look: then
        -- the row has another call, or is ready.
        select a.tenant, a.key
        from seen s
        join answers a on a.tenant = s.tenant and a.key = s.key
        where a.call_id = s.call_id and (a.state = 'pending' or a.expires_at <= now())
        for update of a skip locked
    )
    update answers a set call_id = w.id, state = 'pending', text = null, served_model = null,
        finish_reason = null, expires_at = now() + make_interval(secs => w.timeout_ms * 0.001 + 10)
        from want w
        join old o on o.tenant = w.tenant and o.key = w.key
        where a.tenant = w.tenant and a.key = w.key;

    return query select u.item, 'wait', null::uuid, null::text, null::text, null::text
        from unnest(p_item, p_id, p_tenant, p_key) u (item, id, tenant, key)
        where u.item <> all (v_hit) and not exists (select from answers a
            where a.tenant = u.tenant and a.key = u.key and a.call_id = u.id);
end $$;

-- Calls that were to bring an answer have ended: well, and then their text is kept for p_ttl_ms; or
-- not, and then the next who asks makes a call of his own. Rows that another call has taken over
-- are not theirs any more, and somebody who has one locked is taking it over.
create function answers_fill(p_call uuid[], p_key bytea[], p_text text[], p_ttl_ms bigint[])
returns void language sql volatile set search_path = millrace, pg_temp as $$
    with mine as (
        select a.tenant, a.key, u.text, u.ttl_ms, c.served_model, c.finish_reason,
            c.state = 'settled' and c.class is null and u.text is not null as good
        from unnest(p_call, p_key, p_text, p_ttl_ms) u (call, key, text, ttl_ms)
        join calls c on c.id = u.call
        join answers a on a.tenant = c.tenant and a.key = u.key and a.call_id = c.id
        where a.state = 'pending'
        for update of a skip locked
    ), filled as (
        update answers a set state = 'ready', text = m.text, served_model = m.served_model,
            finish_reason = m.finish_reason,
            expires_at = now() + make_interval(secs => m.ttl_ms * 0.001)
            from mine m
            where m.good and a.tenant = m.tenant and a.key = m.key
    )
    delete from answers a using mine m where not m.good and a.tenant = m.tenant and a.key = m.key;

    -- For each that comes two old ones go, so that the table cannot outgrow its answers' time.
    with old as (
        select tenant, key from answers where expires_at < now() - interval '10 minutes'
            order by expires_at limit 2 * cardinality(p_call) for update skip locked
    )
    delete from answers a using old o where a.tenant = o.tenant and a.key = o.key;
$$;
