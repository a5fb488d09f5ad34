-- Asks for the end of a job, from outside. Answers what it came to: 'cancelled' (it will not run, or
-- not any more), 'cancelling' (a worker holds it and will stop before its next call), or the state
-- it had already ended in: 'done', 'dead'. A job no worker has seen yet gets a tombstone, which its
-- claim will find.
create function cancel(p_job uuid) returns text language plpgsql volatile security definer
    set search_path = millrace, pg_temp as $$
declare
    v_state text;
begin
    insert into jobs (id, state, cancel_requested) values (p_job, 'queued', true)
        on conflict (id) do nothing;
    select state into v_state from jobs where id = p_job for update;
    case v_state
        when 'queued' then
            update jobs set cancel_requested = true, updated_at = now()
                where id = p_job and not cancel_requested;
            return 'cancelled';
        when 'running' then
            update jobs set cancel_requested = true, updated_at = now() where id = p_job;
            return 'cancelling';
        when 'waiting' then
            update jobs set cancel_requested = true, state = 'cancelled', error_class = 'cancelled',
                ended_at = now(), updated_at = now() where id = p_job;
            return 'cancelled';
        else
            return v_state;
    end case;
end $$;
