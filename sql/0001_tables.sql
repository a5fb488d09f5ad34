-- Tables of schema millrace. docs/sql.md explains them; only the functions in sql/routines write
-- them. There are no foreign keys: the functions keep the tables together, and a check per row
-- would cost more than the rest of the write.

create table tenants (
    name text primary key,
    cap_day_pico numeric check (cap_day_pico >= 0),
    cap_month_pico numeric check (cap_month_pico >= 0),
    cap_job_pico numeric check (cap_job_pico >= 0),
    on_cap text not null default 'park' check (on_cap in ('park', 'dead', 'degrade')),
    rpm int check (rpm > 0), -- requests and tokens a minute, of the whole fleet
    tpm bigint check (tpm > 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

-- What a tenant has committed in a period: settled, held and ambiguous in one number, because only
-- a begin (+ hold) and the end of a call (+ cost - hold) change it. A call belongs to the UTC day
-- and month it was begun in. Only tenants with a cap on that kind of period have rows.
create table spend (
    tenant text not null,
    period text not null check (period in ('day', 'month')),
    starts date not null,
    spent_pico numeric not null check (spent_pico >= 0),
    warned_at timestamptz,  -- 80 per cent of the cap were spent
    reached_at timestamptz, -- a call was refused
    primary key (tenant, period, starts)
) with (fillfactor = 50);

-- No index mentions state or any other column that changes while a job runs, so that every update
-- of a job is a HOT update; the fill factor leaves room for one whole second version.
create table jobs (
    id uuid primary key,
    tenant text,
    pipeline text,
    version int,
    priority smallint,
    pool text,
    state text not null
        check (state in ('queued', 'running', 'waiting', 'done', 'dead', 'cancelled')),
    epoch bigint not null default 0,
    worker bigint,
    redeliveries int not null default 0,
    replays int not null default 0,
    idempotency_key text,
    duplicate_of uuid,
    metadata jsonb,
    cancel_requested boolean not null default false,
    degraded boolean not null default false,
    error_class text,
    error_message text,
    error_step text,
    delay_until timestamptz,
    deadline timestamptz,
    created_at timestamptz not null default now(), -- by its producer, else when it was first seen
    claimed_at timestamptz,
    replayed_at timestamptz,
    excused interval, -- waited under a cap or a limit since the first call of a step not ended yet
    ended_at timestamptz,
    dropped_at timestamptz, -- dead, and nobody wants it back
    updated_at timestamptz not null default now(),
    -- Only the tombstone of a job that was cancelled before any worker saw it knows no tenant.
    check (state = 'queued' or (tenant is not null and pipeline is not null)),
    check (duplicate_of is null or state = 'cancelled'),
    check ((ended_at is not null) = (state in ('done', 'dead', 'cancelled')))
) with (fillfactor = 50);

create unique index jobs_idempotency on jobs (tenant, idempotency_key)
    where idempotency_key is not null and duplicate_of is null;
-- The newest first: ids do not tell, for a producer may choose them, or make them of a key.
create index jobs_created on jobs (created_at, id);

create table steps (
    job_id uuid not null,
    name text not null,
    state text not null check (state in ('done', 'skipped', 'failed')),
    output jsonb,
    degraded boolean not null,
    attempts int not null,
    error_class text,
    error_message text,
    started_at timestamptz,
    ended_at timestamptz not null,
    primary key (job_id, name),
    check (output is null or state = 'done')
);

-- One row a request that may have reached a provider, written before it. The fill factor leaves
-- room for its end, which is longer.
create table calls (
    id uuid primary key,
    job_id uuid not null,
    step text not null,
    attempt int not null,
    epoch bigint not null,
    worker bigint not null,
    tenant text not null,
    pipeline text not null,
    provider text not null,
    endpoint text not null,
    alias text not null, -- what the step asked for
    model text not null, -- what was called
    route text,          -- why, when it is not the alias's own model: a rule or a fallback
    served_model text,
    cached_from uuid,    -- the call whose answer this one got, for nothing
    state text not null check (state in ('open', 'settled', 'released', 'ambiguous')),
    hold_pico numeric not null check (hold_pico >= 0),
    cost_pico numeric not null check (cost_pico >= 0),
    price_id bigint,
    price_unknown boolean not null,
    input_tokens bigint,
    cached_tokens bigint,
    cache_write_tokens bigint,
    cache_write_1h_tokens bigint,
    output_tokens bigint,
    reasoning_tokens bigint,
    class text,
    message text,
    http_status int,
    request_id text,
    finish_reason text,
    started_at timestamptz not null default now(),
    expires_at timestamptz not null,
    settled_at timestamptz,
    recosted_at timestamptz, -- its cost was computed again from its usage
    latency_ms bigint
) with (fillfactor = 40);

create index calls_job on calls (job_id);
create index calls_started on calls using brin (started_at) with (autosummarize = on);

-- Answers that equal calls of the same tenant share. Pending: the call that will bring it is out.
create table answers (
    tenant text not null,
    key bytea not null,
    call_id uuid not null,
    state text not null check (state in ('pending', 'ready')),
    text text,
    served_model text,
    finish_reason text,
    expires_at timestamptz not null,
    primary key (tenant, key),
    check ((state = 'ready') = (text is not null))
);

create index answers_expiry on answers (expires_at);

-- Outputs and answers are documents: lz4 costs a tenth of the default's time. A server built
-- without it keeps the default.
do $$
begin
    alter table steps alter output set compression lz4;
    alter table answers alter text set compression lz4;
exception
    when feature_not_supported then null;
end $$;

-- The breakers of living workers, as they last told.
create table breakers (
    worker bigint not null,
    provider text not null,
    endpoint text not null,
    state text not null check (state in ('open', 'half_open')),
    since timestamptz not null default now(),
    until timestamptz,
    why text,
    primary key (worker, provider, endpoint)
);

-- What the fleet is allowed of a model under one key ("model:<provider>/<endpoint>/<model>"), or a
-- tenant ("tenant:<name>"), and what is left of it; and the workers that share it. Unlogged: a lease
-- costs no wait for the disk, and what a crash takes is filled up or learned again in seconds.
create unlogged table limits (
    scope text primary key,
    rpm bigint, -- requests and tokens a minute, in force
    tpm bigint,
    seen_rpm bigint, -- what the provider's headers say
    seen_tpm bigint,
    learned boolean not null default false, -- one of the figures is not from a configuration
    requests_left double precision not null default 0,
    tokens_left double precision not null default 0, -- below 0: one call took more than there was
    refilled_at timestamptz not null default now() - interval '1 minute',
    concurrency int,                  -- calls at once; null = as many as there are
    successes int not null default 0, -- since that figure last changed
    throttled bigint not null default 0,
    lowered_at timestamptz,
    paused_until timestamptz,
    updated_at timestamptz not null default now()
) with (fillfactor = 30);

create unlogged table limit_users (
    scope text not null,
    worker bigint not null,
    in_flight int not null,
    waiting int not null,
    slots int not null,
    asked_at timestamptz not null,
    primary key (scope, worker)
) with (fillfactor = 30);

-- Rates are pico-dollars a token, that is micro-dollars a million tokens.
create table prices (
    id bigint generated always as identity primary key,
    provider text not null,
    model text not null,
    effective_from timestamptz not null,
    effective_to timestamptz check (effective_to > effective_from),
    above_tokens bigint not null default 0 check (above_tokens >= 0),
    input_pico bigint not null check (input_pico >= 0),
    cached_pico bigint not null check (cached_pico >= 0),
    cache_write_pico bigint not null check (cache_write_pico >= 0),
    cache_write_1h_pico bigint not null check (cache_write_1h_pico >= 0),
    output_pico bigint not null check (output_pico >= 0),
    batch_percent smallint check (batch_percent between 1 and 100), -- of these rates
    source text not null default '',
    unique (provider, model, effective_from, above_tokens)
);

-- session_at: when the worker's present connection began. Nobody is called dead for a heartbeat
-- that was missed while the one who judges could not see the database either.
create table workers (
    id bigint generated always as identity primary key,
    name text not null,
    host text not null,
    pid int not null,
    pool text not null,
    version text not null,
    started_at timestamptz not null default now(),
    session_at timestamptz not null default now(),
    heartbeat_at timestamptz not null default now(),
    stopped_at timestamptz,
    swept_at timestamptz -- dead, and none of its calls is open any more
) with (fillfactor = 50);

create table rejects (
    id uuid primary key,
    tenant text,
    pipeline text,
    class text not null,
    message text not null,
    bytes bigint not null,
    head text not null,
    times int not null default 1,
    worker bigint,
    first_at timestamptz not null default now(),
    last_at timestamptz not null default now(),
    dropped_at timestamptz
);

-- Which moves are legal, whoever makes them. The conditions stand in the triggers' WHEN clauses, so
-- a legal move never calls a function.
create function refuse_move() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'illegal move of % %: % to %', tg_table_name, old.id, old.state, new.state
        using errcode = 'check_violation';
end $$;

create trigger jobs_moves after update on jobs for each row when (not (
    old.state = new.state and old.state in ('queued', 'running', 'waiting')
    or old.state = 'queued' and new.state in ('running', 'cancelled', 'dead')
    or old.state = 'running' and new.state in ('waiting', 'done', 'dead', 'cancelled')
    or old.state = 'waiting' and new.state in ('running', 'dead', 'cancelled')
    or old.state = 'dead' and new.state = 'running' and new.replays > old.replays
    or old.state = 'dead' and new.state = 'dead' and old.dropped_at is null
        and new.dropped_at is not null
)) execute function refuse_move();

create trigger calls_moves after update on calls for each row when (not (
    old.state in ('open', 'ambiguous') and new.state in ('settled', 'released', 'ambiguous')
    or old.state = 'settled' and new.state = 'settled'
        and new.recosted_at is distinct from old.recosted_at
)) execute function refuse_move();
