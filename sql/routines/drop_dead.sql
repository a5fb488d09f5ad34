-- A person has dropped the dead letters of these jobs: they leave dead_jobs. All else about them,
-- money above all, stays. Returns how many there were.
create function drop_dead(p_job uuid[]) returns bigint language sql volatile security definer
    set search_path = millrace, pg_temp as $$
    with j as (
        update jobs set dropped_at = now(), updated_at = now()
            where id = any (p_job) and state = 'dead' and dropped_at is null returning 1
    ), r as (
        update rejects set dropped_at = now()
            where id = any (p_job) and dropped_at is null returning 1
    )
    select (select count(*) from j) + (select count(*) from r);
$$;
