/* millrace tenant: what a tenant may spend and ask for. */
#include "common/ids.h"
#include "common/money.h"
#include "producer/db.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- show and list ---- */

static const struct mr_column columns[] = {
    {"tenant", "TENANT", MR_CELL_TEXT},
    {"cap_day_usd", "CAP/DAY", MR_CELL_USD},
    {"day_spent_usd", "TODAY", MR_CELL_USD},
    {"day_percent", "%", MR_CELL_DECIMAL},
    {"cap_month_usd", "CAP/MONTH", MR_CELL_USD},
    {"month_spent_usd", "MONTH", MR_CELL_USD},
    {"month_percent", "%", MR_CELL_DECIMAL},
    {"cap_job_usd", "CAP/JOB", MR_CELL_USD},
    {"on_cap", "ON CAP", MR_CELL_TEXT},
    {"rpm", "RPM", MR_CELL_INT},
    {"tpm", "TPM", MR_CELL_INT},
    {"day_settled_usd", NULL, MR_CELL_USD},
    {"day_held_usd", NULL, MR_CELL_USD},
    {"day_ambiguous_usd", NULL, MR_CELL_USD},
    {"month_settled_usd", NULL, MR_CELL_USD},
    {"month_held_usd", NULL, MR_CELL_USD},
    {"month_ambiguous_usd", NULL, MR_CELL_USD},
    {"day_warned_at", NULL, MR_CELL_TIME},
    {"day_reached_at", NULL, MR_CELL_TIME},
    {"month_warned_at", NULL, MR_CELL_TIME},
    {"month_reached_at", NULL, MR_CELL_TIME},
};
#define NCOLUMNS (sizeof(columns) / sizeof(columns[0]))

/* The same row as a record: every part of what is spent, and when that was noticed. */
static const struct mr_column record[NCOLUMNS] = {
    {"tenant", "Tenant", MR_CELL_TEXT},
    {"cap_day_usd", "Cap a day", MR_CELL_USD},
    {"day_spent_usd", "Spent today", MR_CELL_USD},
    {"day_percent", "  per cent", MR_CELL_DECIMAL},
    {"cap_month_usd", "Cap a month", MR_CELL_USD},
    {"month_spent_usd", "Spent this month", MR_CELL_USD},
    {"month_percent", "  per cent", MR_CELL_DECIMAL},
    {"cap_job_usd", "Cap a job", MR_CELL_USD},
    {"on_cap", "At a cap", MR_CELL_TEXT},
    {"rpm", "Requests/min", MR_CELL_INT},
    {"tpm", "Tokens/min", MR_CELL_INT},
    {"day_settled_usd", "Today: settled", MR_CELL_USD},
    {"day_held_usd", "  held", MR_CELL_USD},
    {"day_ambiguous_usd", "  ambiguous", MR_CELL_USD},
    {"month_settled_usd", "Month: settled", MR_CELL_USD},
    {"month_held_usd", "  held", MR_CELL_USD},
    {"month_ambiguous_usd", "  ambiguous", MR_CELL_USD},
    {"day_warned_at", "Day: 80% at", MR_CELL_TIME},
    {"day_reached_at", "  reached at", MR_CELL_TIME},
    {"month_warned_at", "Month: 80% at", MR_CELL_TIME},
    {"month_reached_at", "  reached at", MR_CELL_TIME},
};

static const char select_sql[] =
    "select tenant, cap_day_usd, day_spent,"
    " case when cap_day_usd > 0 then round(100 * day_spent / cap_day_usd, 1) end,"
    " cap_month_usd, month_spent,"
    " case when cap_month_usd > 0 then round(100 * month_spent / cap_month_usd, 1) end,"
    " cap_job_usd, on_cap, rpm, tpm, day_settled_usd, day_held_usd, day_ambiguous_usd,"
    " month_settled_usd, month_held_usd, month_ambiguous_usd, millrace.utc(day_warned_at),"
    " millrace.utc(day_reached_at), millrace.utc(month_warned_at), millrace.utc(month_reached_at)"
    " from millrace.tenant_overview,"
    " lateral (select day_settled_usd + day_held_usd + day_ambiguous_usd as day_spent,"
    "   month_settled_usd + month_held_usd + month_ambiguous_usd as month_spent) s"
    " where $1::text is null or tenant = $1 order by tenant";

static enum mr_exit show(struct mr_cli *cli)
{
    const char *params[] = {cli->args.operands[0]};
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open(cli);
    MR_CLEANUP(mr_db_clearp)
    PGresult *result = conn ? mr_db_query(cli, conn, select_sql, 1, params) : NULL;
    if (!result)
        return MR_EXIT_UNREACHABLE;
    if (PQntuples(result) == 0) {
        mr_cli_error(cli,
            "tenant %s has no caps and has made no calls; millrace tenant set gives it caps",
            params[0]);
        return MR_EXIT_FAILED;
    }
    struct mr_rows rows = mr_db_rows(result, record, NCOLUMNS);
    if (cli->format == MR_FORMAT_JSON)
        mr_output_json(cli, mr_output_object(&rows, 0));
    else
        mr_output_record(cli, &rows, 0);
    return MR_EXIT_OK;
}

static enum mr_exit list(struct mr_cli *cli)
{
    const char *params[] = {NULL};
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open(cli);
    MR_CLEANUP(mr_db_clearp)
    PGresult *result = conn ? mr_db_query(cli, conn, select_sql, 1, params) : NULL;
    if (!result)
        return MR_EXIT_UNREACHABLE;
    struct mr_rows rows = mr_db_rows(result, columns, NCOLUMNS);
    mr_output_rows(cli, &rows, "no tenants: none has caps, and none has made calls this month");
    return MR_EXIT_OK;
}

/* ---- set ---- */

#define SETTINGS 6
#define NUMBER_LEN 32

struct settings {
    char values[SETTINGS][NUMBER_LEN]; /* as tenant_set takes them */
    bool removed[SETTINGS];
    char changed[128]; /* a text[] literal */
};

static const struct {
    const char *option, *name;
    int64_t max; /* of a whole number; 0: it is money or a word */
} settings[SETTINGS] = {
    {"cap-day", "cap_day", 0},
    {"cap-month", "cap_month", 0},
    {"cap-job", "cap_job", 0},
    {"on-cap", "on_cap", 0},
    {"rpm", "rpm", INT32_MAX},
    {"tpm", "tpm", INT64_MAX / 2},
};
#define ON_CAP 3

static int read_whole(
    const char *option, const char *text, int64_t max, int64_t *ret, struct mr_err *err)
{
    int64_t value = 0;
    const char *s = text;
    bool over = false;
    for (; *s >= '0' && *s <= '9'; s++)
        over |= __builtin_mul_overflow(value, 10, &value) ||
                __builtin_add_overflow(value, *s - '0', &value);
    if (s == text || *s || over || value < 1 || value > max)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "--%s %s: must be a whole number from 1 to %" PRId64 ", or none", option, text, max);
    *ret = value;
    return 0;
}

static int read_setting(
    const struct mr_args *args, size_t at, struct settings *ret, struct mr_err *err)
{
    const char *option = settings[at].option, *text = mr_args_text(args, option, NULL);
    int64_t value;
    if (!text)
        return 0;
    size_t used = strlen(ret->changed);
    snprintf(ret->changed + used, sizeof(ret->changed) - used, "%s%s", used > 1 ? "," : "",
        settings[at].name);
    ret->removed[at] = strcmp(text, "none") == 0;
    if (ret->removed[at])
        return 0;
    if (at == ON_CAP) {
        snprintf(ret->values[at], NUMBER_LEN, "%s", text);
        return 0;
    }
    if (settings[at].max) {
        int r = read_whole(option, text, settings[at].max, &value, err);
        if (r < 0)
            return r;
    } else if (mr_money_parse(text, &value) < 0) {
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "--%s %s: must be dollars such as 250 or 0.05, or none", option, text);
    }
    snprintf(ret->values[at], NUMBER_LEN, "%" PRId64, value);
    return 0;
}

static int read_settings(const struct mr_args *args, struct settings *ret, struct mr_err *err)
{
    *ret = (struct settings){.changed = "{"};
    int r = mr_name_check("tenant", args->operands[0], err);
    for (size_t i = 0; i < SETTINGS && r == 0; i++)
        r = read_setting(args, i, ret, err);
    if (r == 0 && strcmp(ret->changed, "{") == 0)
        r = mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "nothing to set: give --cap-day, --cap-month, --cap-job, --on-cap, --rpm or --tpm");
    size_t used = strlen(ret->changed);
    snprintf(ret->changed + used, sizeof(ret->changed) - used, "}");
    return r;
}

static enum mr_exit set(struct mr_cli *cli)
{
    struct settings given;
    struct mr_err err;
    if (read_settings(&cli->args, &given, &err) < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_USAGE;
    }
    const char *params[SETTINGS + 2] = {cli->args.operands[0]};
    for (size_t i = 0; i < SETTINGS; i++)
        params[i + 1] = given.values[i][0] ? given.values[i] : NULL;
    params[SETTINGS + 1] = given.changed;
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open_owner(cli);
    MR_CLEANUP(mr_db_clearp) PGresult *result = NULL;
    if (conn)
        result = mr_db_query(cli, conn,
            "select millrace.tenant_set($1, $2::numeric, $3::numeric, $4::numeric, $5, $6::int,"
            " $7::bigint, $8::text[])",
            SETTINGS + 2, params);
    return result ? show(cli) : MR_EXIT_UNREACHABLE;
}

static const struct mr_option set_options[] = {
    {.name = "cap-day",
        .type = MR_OPT_TEXT,
        .arg = "USD",
        .help = "At most this many dollars a day (UTC); none removes the cap"},
    {.name = "cap-month",
        .type = MR_OPT_TEXT,
        .arg = "USD",
        .help = "At most this many dollars a calendar month (UTC); none removes the cap"},
    {.name = "cap-job",
        .type = MR_OPT_TEXT,
        .arg = "USD",
        .help = "At most this many dollars for any one job; none removes the cap"},
    {.name = "on-cap",
        .type = MR_OPT_CHOICE,
        .arg = "WHAT",
        .choices = "park|dead|degrade",
        .help = "What becomes of jobs that would go over a cap: park (they wait until calls in "
                "flight give back what they do not use, the period is over or the cap is higher; "
                "a job over its own cap is dead), dead, or degrade (the local provider answers, "
                "for nothing)"},
    {.name = "rpm",
        .type = MR_OPT_TEXT,
        .arg = "N",
        .help = "At most this many requests a minute, over all workers; none removes the limit"},
    {.name = "tpm",
        .type = MR_OPT_TEXT,
        .arg = "N",
        .help = "At most this many tokens a minute, over all workers; none removes the limit"},
    {NULL},
};

const struct mr_command mr_cmd_tenant_set = {
    .name = "tenant set",
    .operands = "NAME",
    .summary = "set what a tenant may spend",
    .details =
        "Sets caps and limits of a tenant; what is not named stays as it is. A call is begun only "
        "if the most it can cost still fits under every cap, together with all that is settled, "
        "held and ambiguous: a cap is never exceeded, however many workers there are. A cap counts "
        "from the moment it is set, and what the period has cost before counts too.\n\n"
        "Like millrace init it needs the database's owner (database.owner_user): who may enqueue "
        "jobs may not lift caps. Then it shows the tenant as millrace tenant show does.",
    .examples = "  millrace tenant set acme --cap-day 25 --cap-month 400 --on-cap park\n"
                "  millrace tenant set acme --cap-job 0.05 --rpm 600\n"
                "  millrace tenant set acme --cap-day none\n",
    .options = set_options,
    .output = mr_options_output,
    .min_operands = 1,
    .max_operands = 1,
    .run = set,
};

const struct mr_command mr_cmd_tenant_show = {
    .name = "tenant show",
    .operands = "NAME",
    .summary = "show a tenant's caps, and what is spent of them",
    .details =
        "Shows caps and limits, what the tenant has spent today and this month (UTC) in its three "
        "parts, and when a cap was noticed. Settled is what calls have cost; held is the bound on "
        "those that run now; ambiguous is the bound on those whose answer was lost. All three "
        "count towards a cap. The times are those at which 80 per cent were spent and at which the "
        "first call was refused.",
    .examples = "  millrace tenant show acme\n  millrace tenant show acme -o json\n",
    .output = mr_options_output,
    .min_operands = 1,
    .max_operands = 1,
    .run = show,
};

const struct mr_command mr_cmd_tenant_list = {
    .name = "tenant list",
    .operands = "",
    .summary = "list tenants with their caps and what is spent",
    .details =
        "Lists tenants by name, with caps, what is spent today and this month (UTC: settled, "
        "held and ambiguous together), and the share of the cap.",
    .examples = "  millrace tenant list\n  millrace tenant list -o json\n",
    .output = mr_options_output,
    .run = list,
};
