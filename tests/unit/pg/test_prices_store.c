#include "common/prices.h"
#include "tests/unit/pg/pgtest.h"

static void check_same(const struct mr_price *a, const struct mr_price *b)
{
    CHECK_STR(a->provider, b->provider);
    CHECK_STR(a->model, b->model);
    CHECK_STR(a->source, b->source);
    CHECK_INT(a->from_ms, b->from_ms);
    CHECK_INT(a->to_ms, b->to_ms);
    CHECK_INT(a->above_tokens, b->above_tokens);
    CHECK_INT(a->input, b->input);
    CHECK_INT(a->cached, b->cached);
    CHECK_INT(a->cache_write, b->cache_write);
    CHECK_INT(a->cache_write_1h, b->cache_write_1h);
    CHECK_INT(a->output, b->output);
    CHECK_INT(a->batch_percent, b->batch_percent);
}

static void test_store_and_load(void)
{
    PGconn *owner = pgtest_open();
    struct mr_prices shipped, loaded;
    struct mr_err err;
    int added = -1;

    CHECK_INT(mr_prices_parse(NULL, &shipped, &err), 0);
    CHECK_INT(mr_prices_store(owner, &shipped, false, &added, &err), 0);
    CHECK_INT(added, shipped.count);
    CHECK_INT(mr_prices_store(owner, &shipped, false, &added, &err), 0);
    CHECK_INT(added, 0);
    CHECK_INT(mr_prices_load(owner, &loaded, &err), 0);
    CHECK_INT(loaded.count, shipped.count);
    for (size_t i = 0; i < loaded.count; i++) {
        CHECK(loaded.items[i].id > 0);
        check_same(&loaded.items[i], &shipped.items[i]);
    }
    mr_prices_deinit(&shipped);
    mr_prices_deinit(&loaded);
    PQfinish(owner);
}

static void test_own_rows_stay(void)
{
    PGconn *owner = pgtest_open();
    struct mr_prices shipped, loaded;
    struct mr_err err;
    int added;

    pgtest_rows(owner, "insert into millrace.prices (provider, model, effective_from, effective_to,"
                       " input_pico, cached_pico, cache_write_pico, cache_write_1h_pico,"
                       " output_pico) values ('local', '*', 'epoch', '2030-01-01 00:00Z',"
                       " 1, 2, 3, 4, 5)");
    CHECK_INT(mr_prices_parse(NULL, &shipped, &err), 0);
    CHECK_INT(mr_prices_store(owner, &shipped, false, &added, &err), 0);
    CHECK_INT(added, shipped.count - 1);
    CHECK_INT(mr_prices_load(owner, &loaded, &err), 0);
    CHECK_STR(loaded.items[0].provider, "local");
    CHECK_INT(loaded.items[0].output, 5);
    CHECK_INT(loaded.items[0].to_ms, INT64_C(1893456000000));
    mr_prices_deinit(&shipped);
    mr_prices_deinit(&loaded);
    PQfinish(owner);
}

/* A correction overwrites rates in place: the row keeps its id. */
static void test_replace(void)
{
    PGconn *owner = pgtest_open();
    struct mr_prices shipped, loaded;
    struct mr_err err;
    int written;

    CHECK_INT(mr_prices_parse(NULL, &shipped, &err), 0);
    CHECK_INT(mr_prices_store(owner, &shipped, false, &written, &err), 0);
    shipped.items[3].output += 7;
    shipped.items[5].batch_percent = 25;
    CHECK_INT(mr_prices_store(owner, &shipped, false, &written, &err), 0);
    CHECK_INT(written, 0);
    CHECK_INT(mr_prices_store(owner, &shipped, true, &written, &err), 0);
    CHECK_INT(written, 2);
    CHECK_INT(mr_prices_load(owner, &loaded, &err), 0);
    CHECK_INT(loaded.count, shipped.count);
    for (size_t i = 0; i < loaded.count; i++)
        check_same(&loaded.items[i], &shipped.items[i]);
    mr_prices_deinit(&shipped);
    mr_prices_deinit(&loaded);
    PQfinish(owner);
}

static void test_missing_table(void)
{
    PGconn *owner = pgtest_open();
    struct mr_prices prices = {0};
    struct mr_err err = {0};
    int added = -1;

    pgtest_rows(owner, "drop schema millrace cascade");
    CHECK(mr_prices_load(owner, &prices, &err) < 0);
    CHECK(strstr(err.msg, "price list"));
    CHECK(mr_prices_store(owner, &prices, false, &added, &err) < 0);
    CHECK_INT(added, -1);
    CHECK(!prices.items);
    PQfinish(owner);
}

PG_TEST_MAIN(TEST(test_store_and_load), TEST(test_own_rows_stay), TEST(test_replace),
    TEST(test_missing_table))
