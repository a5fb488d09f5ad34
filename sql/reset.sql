-- Views and functions are made anew by every `millrace init`, in the transaction that drops the old
-- ones. Trigger functions belong to their migration.
do $$
declare
    v_drop text;
begin
    for v_drop in
        select format('drop view if exists %I.%I cascade', schemaname, viewname)
            from pg_catalog.pg_views where schemaname = 'millrace'
    loop
        execute v_drop;
    end loop;
    for v_drop in
        select 'drop function ' || oid::regprocedure from pg_catalog.pg_proc
            where pronamespace = 'millrace'::regnamespace and prokind = 'f'
                and prorettype <> 'trigger'::regtype
    loop
        execute v_drop;
    end loop;
end $$;
