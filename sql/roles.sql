-- Group roles, made only where they are missing: an administrator may have made them before, with
-- LOGIN and a password.
do $$
declare
    r text;
begin
    foreach r in array array['millrace_worker', 'millrace_producer', 'millrace_reader'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = r) then
            begin
                execute format('create role %I nologin', r);
            exception
                when duplicate_object or unique_violation then null; -- another database's init
            end;
        end if;
    end loop;
end $$;
