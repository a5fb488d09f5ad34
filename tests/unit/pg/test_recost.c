/* Recosting in SQL and the arithmetic in C are the same, whatever the prices and the usage. */
#include "common/clock.h"
#include "common/prices.h"
#include "tests/unit/pg/pgtest.h"

#include <inttypes.h>

#define PRICES 120
#define CALLS 2000
#define DAY INT64_C(86400000)
#define BEGIN INT64_C(1760000000000) /* wall ms around which everything happens */

static uint64_t state = 42;

static int64_t below(int64_t n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)((state >> 33) % (uint64_t)n);
}

/* Names that are beginnings of each other, tiers and dates that overlap. */
static void random_price(struct mr_price *ret)
{
    static const char *const models[] = {"m", "m*", "m-1", "m-1*", "m-12", "*", "m-é*", "x*"};
    *ret = (struct mr_price){.from_ms = BEGIN + (below(40) - 20) * DAY,
        .above_tokens = below(2) ? 1000 * below(4) : 0,
        .input = below(1 << 30),
        .cached = below(1 << 30),
        .cache_write = below(1 << 30),
        .cache_write_1h = below(1 << 30),
        .output = below(1 << 30)};
    ret->to_ms = below(2) ? ret->from_ms + (1 + below(20)) * DAY : 0;
    snprintf(ret->provider, sizeof(ret->provider), "p%d", (int)below(2));
    snprintf(ret->model, sizeof(ret->model), "%s", models[below(8)]);
}

static void store_prices(PGconn *owner, struct mr_prices *ret)
{
    static struct mr_price items[PRICES];
    struct mr_prices prices = {.items = items};
    struct mr_err err;
    int written;
    while (prices.count < PRICES) {
        bool twice = false;
        random_price(&items[prices.count]);
        for (size_t i = 0; i < prices.count; i++)
            twice |= mr_price_same_key(&items[i], &items[prices.count]);
        prices.count += !twice;
    }
    CHECK_INT(mr_prices_store(owner, &prices, false, &written, &err), 0);
    CHECK_INT(written, PRICES);
    CHECK_INT(mr_prices_load(owner, ret, &err), 0);
    ret->ceiling = (struct mr_price){.input = 30000000,
        .cached = 30000000,
        .cache_write = 30000000,
        .cache_write_1h = 30000000,
        .output = 150000000};
}

struct call {
    char model[8], provider[4];
    int64_t at_ms;
    struct mr_usage usage;
};

static struct call random_call(void)
{
    static const char *const models[] = {"m", "m-1", "m-12", "m-123", "m-é1", "other"};
    struct call call = {.at_ms = BEGIN + below(40 * DAY) - 20 * DAY,
        .usage = {.input = below(3000),
            .cached = below(2) * below(3000),
            .cache_write = below(2) * below(2000),
            .cache_write_1h = below(2) * below(1000),
            .output = below(1 << 20)}};
    snprintf(call.model, sizeof(call.model), "%s", models[below(6)]);
    snprintf(call.provider, sizeof(call.provider), "p%d", (int)below(3));
    return call;
}

static void store_call(PGconn *owner, int n, const struct call *call)
{
    const struct mr_usage *u = &call->usage;
    pgtest_rows(owner,
        "insert into calls (id, job_id, step, attempt, epoch, worker, tenant, pipeline, provider,"
        " endpoint, alias, model, state, hold_pico, cost_pico, price_unknown, input_tokens, "
        "cached_tokens,"
        " cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, started_at,"
        " expires_at) values (t.id(%d), t.id(0), 's', 1, 1, 1, 't%d', 'p', '%s', 'e', 'a', '%s',"
        " 'settled', 0, 7, false, %" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
        ", 0, timestamptz 'epoch' + %" PRId64 " * interval '1 millisecond', now())",
        n, n % 3, call->provider, call->model, u->input, u->cached, u->cache_write,
        u->cache_write_1h, u->output, call->at_ms);
}

#define RECOST(write)                                                                              \
    "select sum(calls), sum(new_pico - old_pico) from recost('epoch', 'infinity', null, 30000000," \
    " 150000000, " write ")"

static void the_same_as_in_c(void)
{
    PGconn *owner = pgtest_open();
    struct mr_prices prices;
    char want[CALLS][64], got[64];
    int64_t sum = 0;
    int unknowns = 0;
    pgtest_shorthands(owner);
    store_prices(owner, &prices);
    pgtest_rows(owner, "begin");
    for (int i = 0; i < CALLS; i++) {
        struct call call = random_call();
        int64_t pico, prompt = call.usage.input + call.usage.cached + call.usage.cache_write +
                               call.usage.cache_write_1h;
        bool unknown;
        store_call(owner, i, &call);
        const struct mr_price *price =
            mr_price_find(&prices, call.provider, call.model, call.at_ms, prompt, &unknown);
        CHECK_INT(mr_money_cost(&call.usage, price, &pico), 0);
        snprintf(want[i], sizeof(want[i]), "%" PRId64 "|%" PRId64 "|%s", pico, price->id,
            unknown ? "t" : "f");
        sum += pico - 7;
        unknowns += unknown;
    }
    pgtest_rows(owner, "commit");
    CHECK(unknowns > CALLS / 10 && unknowns < CALLS / 2 + CALLS / 4);
    snprintf(got, sizeof(got), "%d|%" PRId64, CALLS, sum);
    CHECK_STR(pgtest_rows(owner, RECOST("false")), got);
    CHECK_STR(pgtest_rows(owner, "select count(*) from calls where recosted_at is not null"), "0");
    CHECK_STR(pgtest_rows(owner, RECOST("true")), got);
    for (int i = 0; i < CALLS; i++)
        CHECK_STR(pgtest_rows(owner,
                      "select cost_pico, coalesce(price_id, 0), price_unknown from calls"
                      " where id = t.id(%d)",
                      i),
            want[i]);
    CHECK_STR(pgtest_rows(owner, "select count(*) from calls where recosted_at is null"), "0");
    CHECK_STR(pgtest_rows(owner, RECOST("true")), "2000|0"); /* again: nothing changes */
    mr_prices_deinit(&prices);
    PQfinish(owner);
}

static const char call_sql[] =
    "insert into calls (id, job_id, step, attempt, epoch, worker, tenant, pipeline, provider,"
    " endpoint, alias, model, state, hold_pico, cost_pico, price_unknown, input_tokens, "
    "cached_tokens,"
    " cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, started_at,"
    " expires_at, cached_from) values (t.id(%d), t.id(0), 's', 1, 1, 1, '%s', 'p', 'p', 'e', 'a', "
    "'m',"
    " '%s', 1000, %d, true, 10, 0, 0, 0, 5, 0, '%s', now(), %s)";

/* Counters of the day and the month of each call take the difference; others stay. */
static void counters_follow(void)
{
    PGconn *owner = pgtest_open();
    pgtest_shorthands(owner);
    pgtest_rows(owner, call_sql, 1, "acme", "settled", 900, "2026-10-31 23:59:59.9Z", "null");
    pgtest_rows(owner, call_sql, 2, "acme", "settled", 900, "2026-11-01 00:00:00Z", "null");
    pgtest_rows(owner, call_sql, 3, "acme", "settled", 900, "2026-11-02 00:00:00Z", "null");
    pgtest_rows(owner, call_sql, 4, "acme", "ambiguous", 1000, "2026-11-02 00:00:00Z", "null");
    pgtest_rows(owner, call_sql, 5, "acme", "settled", 0, "2026-11-02 00:00:00Z", "t.id(3)");
    pgtest_rows(owner, call_sql, 6, "other", "settled", 900, "2026-11-02 00:00:00Z", "null");
    pgtest_rows(owner, "insert into spend (tenant, period, starts, spent_pico) values"
                       " ('acme', 'day', '2026-10-31', 900), ('acme', 'month', '2026-10-01', 900),"
                       " ('acme', 'day', '2026-11-01', 900), ('acme', 'day', '2026-11-02', 1900),"
                       " ('acme', 'month', '2026-11-01', 2800), ('third', 'day', '2026-11-02', 5)");
    pgtest_rows(owner, "insert into prices (provider, model, effective_from, input_pico,"
                       " cached_pico, cache_write_pico, cache_write_1h_pico, output_pico)"
                       " values ('p', 'm', 'epoch', 10, 0, 0, 0, 20)");
    CHECK_STR(pgtest_rows(owner, "select * from recost('2026-10-01', '2026-12-01', 'acme', 1, 1,"
                                 " true)"),
        "p|m|3|3|0|2700|600");
    CHECK_STR(pgtest_rows(owner, "select tenant, period, starts, spent_pico from spend"
                                 " order by 1, 2, 3"),
        "acme|day|2026-10-31|200\nacme|day|2026-11-01|200\nacme|day|2026-11-02|1200\n"
        "acme|month|2026-10-01|200\nacme|month|2026-11-01|1400\nthird|day|2026-11-02|5");
    CHECK_STR(pgtest_rows(owner, "select id, cost_pico, price_unknown from calls where tenant ="
                                 " 'other' or recosted_at is null order by 1"),
        "00000000-0000-7000-8000-000000000004|1000|t\n00000000-0000-7000-8000-000000000005|0|t\n"
        "00000000-0000-7000-8000-000000000006|900|t");
    CHECK_STR(pgtest_rows(owner, "select bool_and(recosted_at > now() - interval '1 minute') from"
                                 " calls where recosted_at is not null"),
        "t");
    PQfinish(owner);
}

static void only_the_owner(void)
{
    PGconn *owner = pgtest_open(), *conn;
    static const char *const roles[] = {"millrace_producer", "millrace_worker", "millrace_reader"};
    for (size_t i = 0; i < 3; i++) {
        conn = pgtest_connect(roles[i]);
        CHECK_STR(pgtest_fails(conn, RECOST("false")), "42501");
        PQfinish(conn);
    }
    PQfinish(owner);
}

PG_TEST_MAIN(TEST(the_same_as_in_c), TEST(counters_follow), TEST(only_the_owner))
