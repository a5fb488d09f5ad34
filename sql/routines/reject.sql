-- Records messages that are no jobs; the same one again is counted.
create function reject(p_worker bigint, p_id uuid[], p_tenant text[], p_pipeline text[],
    p_class text[], p_message text[], p_bytes bigint[], p_head text[])
returns void
language sql volatile security definer set search_path = millrace, pg_temp as $$
    insert into rejects as r (id, tenant, pipeline, class, message, bytes, head, times, worker)
    select distinct on (u.id) u.id, u.tenant, u.pipeline, u.class, u.message, u.bytes, u.head,
        count(*) over (partition by u.id), p_worker
    from unnest(p_id, p_tenant, p_pipeline, p_class, p_message, p_bytes, p_head)
        u (id, tenant, pipeline, class, message, bytes, head)
    order by u.id
    on conflict (id) do update set times = r.times + excluded.times, last_at = now(), dropped_at = null,
        worker = excluded.worker, class = excluded.class, message = excluded.message;
$$;
