-- Ends calls. Money is a fact whoever holds the lease, so no epoch is asked for; an answer that
-- comes after its call was called ambiguous still settles it, once. Saying it again changes nothing.
create function settle(p_id uuid[], p_state text[], p_cost_pico bigint[], p_input bigint[],
    p_cached bigint[], p_cache_write bigint[], p_cache_write_1h bigint[], p_output bigint[],
    p_reasoning bigint[], p_class text[], p_message text[], p_http_status int[],
    p_request_id text[], p_served_model text[], p_finish_reason text[], p_latency_ms bigint[],
    p_price_id bigint[], p_price_unknown boolean[])
returns void
language plpgsql volatile security definer
set search_path = millrace, pg_temp set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off as $$
begin
    update calls c set state = u.state,
        cost_pico = case u.state when 'settled' then u.cost_pico when 'ambiguous' then c.hold_pico
            else 0 end,
        input_tokens = u.input, cached_tokens = u.cached, cache_write_tokens = u.cache_write,
        cache_write_1h_tokens = u.cache_write_1h, output_tokens = u.output,
        reasoning_tokens = u.reasoning, class = u.class, message = u.message,
        http_status = u.http_status, request_id = u.request_id, served_model = u.served_model,
        finish_reason = u.finish_reason, latency_ms = u.latency_ms, settled_at = now(),
        price_id = nullif(u.price_id, 0), price_unknown = u.price_unknown
    from unnest(p_id, p_state, p_cost_pico, p_input, p_cached, p_cache_write, p_cache_write_1h,
        p_output, p_reasoning, p_class, p_message, p_http_status, p_request_id, p_served_model,
        p_finish_reason, p_latency_ms, p_price_id, p_price_unknown) u (id, state, cost_pico, input, cached, cache_write,
        cache_write_1h, output, reasoning, class, message, http_status, request_id, served_model,
        finish_reason, latency_ms, price_id, price_unknown)
    where c.id = u.id
        and (c.state = 'open' or c.state = 'ambiguous' and u.state in ('settled', 'released'));
end $$;
