-- How amounts and times are written.

create function usd(pico numeric) returns numeric language sql immutable parallel safe
    return (coalesce(pico, 0) * 0.000000000001)::numeric(40, 12);

-- An amount as people write it: $0.054399.
create function usd_words(pico numeric) returns text language sql immutable
set search_path = millrace, pg_temp as $$
    select '$' || trim_scale(greatest(usd(pico), 0))::text;
$$;

-- The UTC day or month of a moment.
create function period_start(p_period text, p_at timestamptz) returns date
    language sql immutable parallel safe
    return date_trunc(p_period, p_at at time zone 'UTC')::date;

-- RFC 3339 in UTC, as the command prints times.
create function utc(at timestamptz) returns text language sql stable parallel safe
    return to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
