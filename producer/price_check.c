#include "producer/price_check.h"
#include "common/prices.h"

#include <errno.h>
#include <string.h>

#define SOON_MS (30 * 86400000ll)
#define IMPORT "add one: millrace prices import FILE"

/* ---- models ---- */

static void day_of(int64_t ms, char ret[static 11])
{
    char time[MR_TIME_LEN];
    mr_time_format(ms, time);
    snprintf(ret, 11, "%.10s", time);
}

/* One tier of a model: whether what holds now goes on. */
static void check_end(struct mr_findings *findings, const struct mr_prices *prices,
    const struct mr_model *model, int64_t now_ms, int64_t tokens)
{
    bool unknown;
    char day[11];
    const char *provider = model->provider->name;
    const struct mr_price *price =
        mr_price_find(prices, provider, model->model, now_ms, tokens, &unknown);
    if (unknown || price->to_ms == 0 || price->to_ms > now_ms + SOON_MS)
        return;
    const struct mr_price *next =
        mr_price_find(prices, provider, model->model, price->to_ms, tokens, &unknown);
    day_of(price->to_ms, day);
    if (unknown)
        mr_findings_add(findings, MR_LEVEL_FAIL, "ending", IMPORT,
            "the price of %s/%s%s ends on %s, and none follows", provider, model->model,
            tokens ? " for long prompts" : "", day);
    else if (next->above_tokens != price->above_tokens)
        mr_findings_add(findings, MR_LEVEL_FAIL, "ending", IMPORT,
            "the price of %s/%s above %lld tokens ends on %s; what follows is for shorter prompts",
            provider, model->model, (long long)price->above_tokens, day);
    else
        mr_findings_add(findings, MR_LEVEL_OK, "changing", "", "the price of %s/%s%s changes on %s",
            provider, model->model, tokens ? " for long prompts" : "", day);
}

static void check_model(struct mr_findings *findings, const struct mr_prices *prices,
    const struct mr_model *model, int64_t now_ms)
{
    bool unknown;
    const char *provider = model->provider->name;
    mr_price_find(prices, provider, model->model, now_ms, 0, &unknown);
    if (unknown) {
        mr_findings_add(findings, MR_LEVEL_FAIL, "missing", IMPORT,
            "%s/%s (alias %s) has no price: its calls are charged at money.ceiling_input and "
            "money.ceiling_output",
            provider, model->model, model->alias);
        return;
    }
    check_end(findings, prices, model, now_ms, 0);
    int64_t done = 0; /* tiers from the lowest up, each once */
    for (;;) {
        int64_t next = 0;
        for (size_t i = 0; i < prices->count; i++) {
            const struct mr_price *price = &prices->items[i];
            if (price->above_tokens > done && (next == 0 || price->above_tokens < next) &&
                strcmp(price->provider, provider) == 0)
                next = price->above_tokens;
        }
        if (next == 0)
            return;
        done = next;
        const struct mr_price *tier =
            mr_price_find(prices, provider, model->model, now_ms, next + 1, &unknown);
        if (!unknown && tier->above_tokens == next)
            check_end(findings, prices, model, now_ms, next + 1);
    }
}

static bool seen_before(const struct mr_config *config, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (config->models[i].provider == config->models[at].provider &&
            strcmp(config->models[i].model, config->models[at].model) == 0)
            return true;
    return false;
}

void mr_price_check_models(struct mr_findings *findings, const struct mr_prices *prices,
    const struct mr_config *config, int64_t now_ms)
{
    for (size_t i = 0; i < config->nmodels; i++)
        if (!seen_before(config, i))
            check_model(findings, prices, &config->models[i], now_ms);
}

/* ---- rows ---- */

static bool over(const struct mr_price *price, int64_t now_ms)
{
    return price->to_ms != 0 && price->to_ms <= now_ms;
}

static bool overlap(const struct mr_price *first, const struct mr_price *later)
{
    /* An open row that a later one takes over from is how prices change. */
    return first->from_ms < later->from_ms && first->to_ms != 0 && first->to_ms > later->from_ms;
}

/* A tier from before the newest price of the same name: it still counts for long prompts. */
static bool left_behind(const struct mr_price *tier, const struct mr_price *base, int64_t now_ms)
{
    return tier->above_tokens > 0 && base->above_tokens == 0 && tier->from_ms < base->from_ms &&
           base->from_ms <= now_ms && tier->input < base->input;
}

static void check_pair(struct mr_findings *findings, const struct mr_price *a,
    const struct mr_price *b, int64_t now_ms)
{
    char from[11], to[11];
    if (strcmp(a->model, b->model) != 0 || strcmp(a->provider, b->provider) != 0)
        return;
    if (a->above_tokens == b->above_tokens && overlap(a, b)) {
        day_of(b->from_ms, from);
        day_of(a->to_ms, to);
        mr_findings_add(findings, MR_LEVEL_WARN, "overlap",
            "end the first where the second begins: millrace prices import --replace",
            "two prices of %s/%s hold from %s to %s; the later one counts", a->provider, a->model,
            from, to);
    }
    if (left_behind(a, b, now_ms))
        mr_findings_add(findings, MR_LEVEL_WARN, "contradiction",
            "add the tier's new price, or end the old one: millrace prices import",
            "%s/%s above %lld tokens is cheaper than below: the tier is older than the price",
            a->provider, a->model, (long long)a->above_tokens);
}

void mr_price_check_rows(
    struct mr_findings *findings, const struct mr_prices *prices, int64_t now_ms)
{
    for (size_t i = 0; i < prices->count; i++) {
        const struct mr_price *a = &prices->items[i];
        if (over(a, now_ms))
            continue;
        for (size_t k = 0; k < prices->count; k++)
            if (k != i && !over(&prices->items[k], now_ms))
                check_pair(findings, a, &prices->items[k], now_ms);
        if (a->cached > a->input)
            mr_findings_add(findings, MR_LEVEL_WARN, "contradiction",
                "look at the source: millrace prices list",
                "%s/%s: cached tokens cost more than uncached ones", a->provider, a->model);
    }
}

/* ---- calls ---- */

static int check_calls(struct mr_cli *cli, PGconn *conn, struct mr_findings *findings,
    const struct mr_prices *prices, int64_t now_ms)
{
    MR_CLEANUP(mr_db_clearp)
    PGresult *rows = mr_db_query(cli, conn,
        "select provider, model, calls, cost_usd, to_char(first_at at time zone 'UTC', "
        "'YYYY-MM-DD') from millrace.unpriced_models order by cost_usd desc, 1, 2",
        0, NULL);
    if (!rows)
        return -EIO;
    for (int i = 0; i < PQntuples(rows); i++) {
        const char *provider = PQgetvalue(rows, i, 0), *model = PQgetvalue(rows, i, 1);
        char usd[MR_USD_LEN], todo[128] = IMPORT;
        bool unknown;
        mr_usd_tidy(PQgetvalue(rows, i, 3), usd);
        mr_price_find(prices, provider, model, now_ms, 0, &unknown);
        if (!unknown)
            snprintf(todo, sizeof(todo),
                "there is a price now: millrace prices recost --since %s --dry-run",
                PQgetvalue(rows, i, 4));
        mr_findings_add(findings, unknown ? MR_LEVEL_FAIL : MR_LEVEL_WARN, "charged", todo,
            "%s calls of %s/%s were charged at the ceiling, %s in all", PQgetvalue(rows, i, 2),
            provider, model, usd);
    }
    return 0;
}

int mr_price_check(struct mr_cli *cli, PGconn *conn, struct mr_findings *findings)
{
    struct mr_prices prices;
    struct mr_err err;
    int64_t now = mr_wall_ms(&cli->clock);
    int r = mr_prices_load(conn, &prices, &err);
    if (r < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return r;
    }
    mr_price_check_models(findings, &prices, cli->config, now);
    mr_price_check_rows(findings, &prices, now);
    r = check_calls(cli, conn, findings, &prices, now);
    mr_prices_deinit(&prices);
    return r;
}
