#include "producer/reconcile.h"
#include "common/json.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define BATCH 5000 /* rows a statement */
#define FILE_MAX_BYTES (1u << 30)

struct loading {
    struct mr_cli *cli;
    PGconn *conn;
    json_t *batch;
};

static bool run(struct mr_cli *cli, PGconn *conn, const char *sql, int n, const char *const *params)
{
    MR_CLEANUP(mr_db_clearp) PGresult *result = mr_db_query(cli, conn, sql, n, params);
    return result != NULL;
}

static bool flush(struct loading *loading)
{
    static const char sql[] =
        "insert into export select line, case when call ~"
        " '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then call::uuid end, call, "
        "request,"
        " model, timestamptz 'epoch' + at * interval '1 millisecond', input, cached,"
        " output, cost::numeric * 0.000000000001, n from jsonb_to_recordset($1::jsonb)"
        " as e (line bigint, call text, request text, model text, at bigint, input bigint,"
        " cached bigint, output bigint, cost bigint, n bigint)";
    MR_CLEANUP(mr_buf_deinit) struct mr_buf text = MR_BUF_INIT(64u << 20);
    if (json_array_size(loading->batch) == 0)
        return true;
    bool done = mr_json_dump(loading->batch, &text) == 0;
    const char *params[] = {text.data};
    done = done && run(loading->cli, loading->conn, sql, 1, params);
    json_array_clear(loading->batch);
    return done;
}

static void put_text(json_t *object, const char *key, const char *text)
{
    if (text)
        json_object_set_new(object, key, json_string(text));
}

static void put_number(json_t *object, const char *key, int64_t number)
{
    if (number >= 0)
        json_object_set_new(object, key, json_integer(number));
}

static int take_row(void *ctx, const struct mr_export_row *row)
{
    struct loading *loading = ctx;
    json_t *object = json_object();
    put_number(object, "line", row->line);
    put_text(object, "call", row->call);
    put_text(object, "request", row->request);
    put_text(object, "model", row->model);
    put_number(object, "at", row->at_ms);
    put_number(object, "input", row->input);
    put_number(object, "cached", row->cached);
    put_number(object, "output", row->output);
    put_number(object, "cost", row->cost_pico);
    put_number(object, "n", row->count);
    if (json_array_append_new(loading->batch, object) < 0)
        return -ENOMEM;
    return json_array_size(loading->batch) < BATCH || flush(loading) ? 0 : -EIO;
}

static enum mr_exit load(
    struct mr_cli *cli, PGconn *conn, const char *path, bool seen[static MR_EXPORT_COLUMNS])
{
    MR_CLEANUP(mr_buf_deinit) struct mr_buf text = MR_BUF_INIT(FILE_MAX_BYTES);
    struct loading loading = {.cli = cli, .conn = conn, .batch = json_array()};
    struct mr_err err = {0};
    int r = mr_buf_read_file(&text, path, &err);
    if (r == 0)
        r = mr_export_read(path, text.data, text.len, take_row, &loading, seen, &err);
    if (r == 0 && !flush(&loading))
        r = -EIO;
    json_decref(loading.batch);
    if (r == -EIO) /* told already */
        return MR_EXIT_UNREACHABLE;
    if (r < 0)
        mr_cli_error(cli, "%s", err.msg[0] ? err.msg : strerror(-r));
    return r < 0 ? MR_EXIT_USAGE : MR_EXIT_OK;
}

/* ---- comparing ---- */

/* Theirs beside the call it is: by our own id, else by theirs; of one provider only, if one was
 * asked for. The period is that of the export, or that of the calls it names. Hits and the local
 * provider are nobody's bill. */
static const char match_sql[] =
    "create temp table ours as select c.*, c.cost_usd + c.ambiguous_usd + c.held_usd as money"
    " from millrace.call_costs c where not hit and provider <> 'local' and state <> 'released'"
    " and ($1::text is null or provider = $1)"
    " and started_at >= (select coalesce(min(at) - interval '1 day', '-infinity') from export)"
    " and started_at < (select coalesce(max(at) + interval '2 days', 'infinity') from export);";

static const char pair_sql[] =
    "create temp table pairs as select e.*, coalesce(a.call_id, b.call_id) as ours_id"
    " from export e left join lateral (select call_id from millrace.call_costs c"
    "   where c.call_id = e.call and ($1::text is null or c.provider = $1)) a on true"
    " left join lateral (select call_id from ours o where a.call_id is null"
    "   and e.request is not null and o.request_id = e.request limit 1) b on true";

/* Whether a provider counts cached tokens among its input is its own affair: either reading will
 * do. */
#define COMPARE                                                                                    \
    "create temp table findings as"                                                                \
    " select case when c.call_id is null then 'theirs only'"                                       \
    "   when c.state = 'ambiguous' then 'ambiguous, billed'"                                       \
    "   when c.state = 'released' then 'released, billed'"                                         \
    "   when c.state = 'open' then 'open, billed'"                                                 \
    "   when p.times > 1 then 'billed twice'"                                                      \
    "   when p.output <> c.output_tokens or p.input is not null and c.prompt <> p.input"           \
    "     and c.prompt <> p.input + coalesce(p.cached, 0) then 'tokens differ'"                    \
    "   when abs(p.cost - c.cost_usd) > $1::numeric then 'cost differs' end as finding,"           \
    " p.line, p.request as request_id, coalesce(c.call_id::text, p.call_text) as call_id, "        \
    "c.job_id, coalesce(c.model, p.model) as model,"                                               \
    " p.input as theirs_input, c.prompt as ours_input, p.output as theirs_output,"                 \
    " c.output_tokens as ours_output, p.cost as theirs_usd, c.cost_usd + c.ambiguous_usd"          \
    " + c.held_usd as ours_usd from (select *, count(*) over (partition by ours_id) as times"      \
    "   from pairs) p left join (select *, input_tokens + cached_tokens + cache_write_tokens"      \
    "     + cache_write_1h_tokens as prompt from millrace.call_costs) c on c.call_id = p.ours_id"  \
    " union all select case o.state when 'ambiguous' then 'ambiguous, not billed'"                 \
    "   when 'settled' then 'ours only' end, null, o.request_id, o.call_id::text, o.job_id, "      \
    "o.model,"                                                                                     \
    "   null, o.input_tokens + o.cached_tokens + o.cache_write_tokens + o.cache_write_1h_tokens,"  \
    "   null, o.output_tokens, null, o.money from ours o"                                          \
    " where o.state in ('settled', 'ambiguous') and o.call_id not in"                              \
    "   (select ours_id from pairs where ours_id is not null)"                                     \
    " and ($2::text is not null or o.provider in (select c.provider from millrace.call_costs c"    \
    "   join pairs p on p.ours_id = c.call_id))"                                                   \
    " and o.started_at >= (select coalesce(min(at), (select min(started_at) from ours u"           \
    "   join pairs p on p.ours_id = u.call_id)) from export)"                                      \
    " and o.started_at <= (select coalesce(max(at), (select max(started_at) from ours u"           \
    "   join pairs p on p.ours_id = u.call_id)) from export)"

/* Days and models. A model is called as the provider calls it, where it does. */
static const char sums_sql[] =
    "create temp table findings as with theirs as (select (at at time zone 'UTC')::date as day,"
    "   model, sum(input) as input, sum(cached) as cached, sum(output) as output,"
    "   sum(cost) as cost, sum(n) as n from export group by 1, 2),"
    " ours as (select (started_at at time zone 'UTC')::date as day,"
    "   case when split_part(served_model, ' (', 1) in (select model from export)"
    "     then split_part(served_model, ' (', 1) else model end as model, count(*) as n,"
    "   sum(input_tokens + cached_tokens + cache_write_tokens + cache_write_1h_tokens) as input,"
    "   sum(output_tokens) as output, sum(cost_usd) as cost, sum(ambiguous_usd) as ambiguous"
    "   from ours where state <> 'open' group by 1, 2)"
    " select case when o.day is null then 'theirs only' when t.day is null then 'ours only'"
    "   when t.output <> o.output or t.input is not null and t.input <> o.input"
    "     and t.input + coalesce(t.cached, 0) <> o.input then 'tokens differ'"
    "   when t.cost < o.cost - $1::numeric or t.cost > o.cost + o.ambiguous + $1::numeric"
    "     then 'cost differs' when t.n <> o.n then 'calls differ' end as finding,"
    " coalesce(t.day, o.day) as day, coalesce(t.model, o.model) as model, t.n as theirs_calls,"
    " o.n as ours_calls, t.input as theirs_input, o.input as ours_input,"
    " t.output as theirs_output, o.output as ours_output, t.cost as theirs_usd,"
    " o.cost as ours_usd, o.ambiguous as ambiguous_usd"
    " from theirs t full join ours o on o.day = t.day and o.model = t.model"
    " where t.day is not null or o.day between (select min(day) from theirs)"
    "   and (select max(day) from theirs) and o.cost + o.ambiguous > 0";

/* A name that is neither configured nor on record is a slip: with it nothing would differ. */
static enum mr_exit check_provider(struct mr_cli *cli, PGconn *conn, const char *provider)
{
    for (size_t i = 0; i < cli->config->nproviders; i++)
        if (!provider || strcmp(cli->config->providers[i].name, provider) == 0)
            return MR_EXIT_OK;
    MR_CLEANUP(mr_db_clearp)
    PGresult *found = mr_db_query(
        cli, conn, "select from millrace.calls where provider = $1 limit 1", 1, &provider);
    if (!found)
        return MR_EXIT_UNREACHABLE;
    if (PQntuples(found) > 0)
        return MR_EXIT_OK;
    mr_cli_error(cli,
        "--provider %s: there is no call to a provider of this name, and none is configured",
        provider);
    return MR_EXIT_USAGE;
}

enum mr_exit mr_reconcile(struct mr_cli *cli, PGconn *conn, const char *path, bool *ret_sums)
{
    bool seen[MR_EXPORT_COLUMNS];
    const char *provider = mr_args_text(&cli->args, "provider", NULL),
               *params[] = {mr_args_text(&cli->args, "tolerance", "0.000001"), provider};
    enum mr_exit code = check_provider(cli, conn, provider);
    if (code != MR_EXIT_OK)
        return code;
    if (!run(cli, conn,
            "create temp table export (line bigint, call uuid, call_text text, request text, model "
            "text,"
            " at timestamptz, input bigint, cached bigint, output bigint, cost numeric, n bigint)",
            0, NULL))
        return MR_EXIT_UNREACHABLE;
    code = load(cli, conn, path, seen);
    if (code != MR_EXIT_OK)
        return code;
    bool ids = seen[MR_EXPORT_CALL] || seen[MR_EXPORT_REQUEST];
    if (!ids && (!seen[MR_EXPORT_MODEL] || !seen[MR_EXPORT_TIME])) {
        mr_cli_error(cli,
            "%s: has neither ids of requests (%s; %s) nor days and models (%s; %s); its first line "
            "must name the columns",
            path, mr_export_names(MR_EXPORT_CALL), mr_export_names(MR_EXPORT_REQUEST),
            mr_export_names(MR_EXPORT_TIME), mr_export_names(MR_EXPORT_MODEL));
        return MR_EXIT_USAGE;
    }
    bool done = run(cli, conn, match_sql, 1, &provider);
    if (ids)
        done = done && run(cli, conn, pair_sql, 1, &provider) && run(cli, conn, COMPARE, 2, params);
    else
        done = done && run(cli, conn, sums_sql, 1, params);
    *ret_sums = !ids;
    return done ? MR_EXIT_OK : MR_EXIT_UNREACHABLE;
}
