/* millrace costs: what was spent, by whom and on what. */
#include "producer/db.h"

#include <errno.h>
#include <string.h>

/* The words of --by, what they group by, and how the column is called. */
struct grouping {
    const char *word, *title, *sql;
};

static const struct grouping groupings[] = {
    {"tenant", "TENANT", "tenant"},
    {"day", "DAY", "to_char(started_at at time zone 'UTC', 'YYYY-MM-DD')"},
    {"pipeline", "PIPELINE", "pipeline"},
    {"step", "STEP", "pipeline || '/' || step"},
    {"model", "MODEL", "provider || '/' || model"},
    {"provider", "PROVIDER", "provider"},
};

#define GROUPS (sizeof(groupings) / sizeof(groupings[0]))

static const struct mr_column sums[] = {
    {"jobs", "JOBS", MR_CELL_INT},
    {"calls", "CALLS", MR_CELL_INT},
    {"hits", "HITS", MR_CELL_INT},
    {"hit_percent", "HIT%", MR_CELL_DECIMAL},
    {"input_tokens", "INPUT", MR_CELL_INT},
    {"cached_tokens", "CACHED", MR_CELL_INT},
    {"written_tokens", "WRITTEN", MR_CELL_INT},
    {"output_tokens", "OUTPUT", MR_CELL_INT},
    {"cost_usd", "COST", MR_CELL_USD},
    {"ambiguous_usd", "AMBIGUOUS", MR_CELL_USD},
    {"held_usd", "HELD", MR_CELL_USD},
    {"cache_write_tokens", NULL, MR_CELL_INT},
    {"cache_write_1h_tokens", NULL, MR_CELL_INT},
    {"reasoning_tokens", NULL, MR_CELL_INT},
};
#define NSUMS (sizeof(sums) / sizeof(sums[0]))

static const char sums_sql[] =
    "count(distinct job_id), count(*), count(*) filter (where hit), "
    "round(100.0 * count(*) filter (where hit) / count(*), 1), "
    "coalesce(sum(input_tokens), 0), coalesce(sum(cached_tokens), 0), "
    "coalesce(sum(cache_write_tokens), 0) + coalesce(sum(cache_write_1h_tokens), 0), "
    "coalesce(sum(output_tokens), 0), sum(cost_usd) as cost, sum(ambiguous_usd), sum(held_usd), "
    "coalesce(sum(cache_write_tokens), 0), coalesce(sum(cache_write_1h_tokens), 0), "
    "coalesce(sum(reasoning_tokens), 0) from millrace.call_costs "
    "where ($1::timestamptz is null or started_at >= $1::timestamptz) "
    "and ($2::timestamptz is null or started_at < $2::timestamptz) "
    "and ($3::text is null or tenant = $3)";

static const struct grouping *grouping_of(const char *word)
{
    size_t i = 0;
    while (strcmp(groupings[i].word, word) != 0)
        i++; /* the option takes no other word */
    return &groupings[i];
}

/* What the rows are grouped by, in the order asked for; each once. */
static size_t read_groups(const struct mr_args *args, const struct grouping *ret[static GROUPS])
{
    const char *word;
    size_t n = 0;
    for (size_t i = 0; (word = mr_args_nth(args, "by", i)); i++) {
        const struct grouping *group = grouping_of(word);
        size_t k = 0;
        while (k < n && ret[k] != group)
            k++;
        if (k == n)
            ret[n++] = group;
    }
    if (n == 0)
        ret[n++] = &groupings[0];
    return n;
}

/* Days are read in their order, everything else dearest first. */
static int build_sql(const struct grouping *const *groups, size_t n, struct mr_buf *sql)
{
    bool by_day = false;
    int r = mr_buf_puts(sql, "select ");
    for (size_t i = 0; i < n && r == 0; i++) {
        by_day |= strcmp(groups[i]->word, "day") == 0;
        r = mr_buf_printf(sql, "%s, ", groups[i]->sql);
    }
    if (r == 0)
        r = mr_buf_printf(sql, "%s group by ", sums_sql);
    for (size_t i = 0; i < n && r == 0; i++)
        r = mr_buf_printf(sql, "%s%zu", i ? ", " : "", i + 1);
    if (r == 0)
        r = mr_buf_puts(sql, by_day ? " order by " : " order by cost desc, ");
    for (size_t i = 0; i < n && r == 0; i++)
        r = mr_buf_printf(sql, "%s%zu", i ? ", " : "", i + 1);
    return r;
}

static enum mr_exit print(
    struct mr_cli *cli, const struct grouping *const *groups, size_t n, const PGresult *result)
{
    struct mr_column columns[GROUPS + NSUMS];
    for (size_t i = 0; i < n; i++)
        columns[i] = (struct mr_column){groups[i]->word, groups[i]->title, MR_CELL_TEXT};
    memcpy(columns + n, sums, sizeof(sums));
    struct mr_rows rows = mr_db_rows(result, columns, n + NSUMS);
    mr_output_rows(cli, &rows, "no calls");
    return MR_EXIT_OK;
}

static int read_period(
    struct mr_cli *cli, int64_t *ret_since, int64_t *ret_until, struct mr_err *err)
{
    int64_t now = mr_wall_ms(&cli->clock);
    int r = mr_args_time(&cli->args, "since", now, -1, 0, ret_since, err);
    if (r == 0)
        r = mr_args_time(&cli->args, "until", now, -1, 0, ret_until, err);
    if (r == 0 && *ret_until && *ret_until < *ret_since)
        r = mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "--until %s: is before --since %s",
            mr_args_text(&cli->args, "until", ""), mr_args_text(&cli->args, "since", ""));
    return r;
}

static enum mr_exit run(struct mr_cli *cli)
{
    struct mr_err err;
    const struct grouping *groups[GROUPS];
    int64_t since, until;
    char since_text[MR_TIME_LEN], until_text[MR_TIME_LEN];
    if (read_period(cli, &since, &until, &err) < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_USAGE;
    }
    size_t n = read_groups(&cli->args, groups);
    MR_CLEANUP(mr_buf_deinit) struct mr_buf sql = MR_BUF_INIT(8192);
    if (build_sql(groups, n, &sql) < 0) {
        mr_cli_error(cli, "out of memory");
        return MR_EXIT_FAILED;
    }
    const char *params[] = {mr_db_time(since, since_text), mr_db_time(until, until_text),
        mr_args_text(&cli->args, "tenant", NULL)};
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open(cli);
    MR_CLEANUP(mr_db_clearp)
    PGresult *result = conn ? mr_db_query(cli, conn, sql.data, 3, params) : NULL;
    return result ? print(cli, groups, n, result) : MR_EXIT_UNREACHABLE;
}

static const struct mr_option options[] = {
    {.name = "by",
        .type = MR_OPT_CHOICE,
        .many = true,
        .arg = "WHAT",
        .choices = "tenant|day|pipeline|step|model|provider",
        .help = "Add up by tenant (the default), day (UTC), pipeline, step, model or provider; "
                "given several times, by all of them"},
    {.name = "since",
        .type = MR_OPT_TIME,
        .arg = "TIME",
        .help = "Only calls begun from this time on (RFC 3339 or a date), or within this duration "
                "(such as 7d)"},
    {.name = "until",
        .type = MR_OPT_TIME,
        .arg = "TIME",
        .help = "Only calls begun before this time, or longer ago than this duration"},
    MR_OPTION_TENANT,
    {NULL},
};

const struct mr_command mr_cmd_costs = {
    .name = "costs",
    .operands = "",
    .summary = "add up what calls have cost",
    .details =
        "Adds up the calls to providers and what they cost, dearest first, or by day. COST is what "
        "was settled; AMBIGUOUS is what calls may have cost whose answer never came, counted at "
        "their upper bound; HELD is the bound on calls that run now.\n\n"
        "HITS are calls that were answered from Millrace's own cache, for nothing; HIT% is their "
        "share. Tokens stand in one column only: INPUT are the prompt's without those the "
        "provider's cache gave (CACHED) or took (WRITTEN); OUTPUT includes reasoning.",
    .examples = "  millrace costs\n  millrace costs --by model --since 7d\n"
                "  millrace costs --by day --by tenant --since 2026-11-01 --until 2026-12-01\n"
                "  millrace costs --by day -o json\n",
    .options = options,
    .output = mr_options_output,
    .run = run,
};
