/* The price list in the table millrace.prices. */
#include "common/prices.h"

#include "common/pg.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(struct mr_err *err)
{
    return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
}

/* All rows as one JSON parameter, so that storing is one statement. */
static char *rows_json(const struct mr_prices *prices)
{
    json_t *rows = json_array();

    for (size_t i = 0; rows && i < prices->count; i++) {
        const struct mr_price *p = &prices->items[i];
        json_t *row = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:s}",
            "provider", p->provider, "model", p->model, "from_ms", (json_int_t)p->from_ms, "to_ms",
            (json_int_t)p->to_ms, "above_tokens", (json_int_t)p->above_tokens, "input",
            (json_int_t)p->input, "cached", (json_int_t)p->cached, "cache_write",
            (json_int_t)p->cache_write, "cache_write_1h", (json_int_t)p->cache_write_1h, "output",
            (json_int_t)p->output, "batch_percent", p->batch_percent, "source", p->source);
        if (json_array_append_new(rows, row) < 0) {
            json_decref(rows);
            rows = NULL;
        }
    }
    char *text = rows ? json_dumps(rows, JSON_COMPACT) : NULL;
    json_decref(rows);
    return text;
}

#define KEY "provider, model, effective_from, above_tokens"
#define RATES(of)                                                                                  \
    of "effective_to, " of "input_pico, " of "cached_pico, " of "cache_write_pico, " of            \
       "cache_write_1h_pico, " of "output_pico, " of "batch_percent, " of "source"

int mr_prices_store(PGconn *conn, const struct mr_prices *prices, bool replace, int *ret_written,
    struct mr_err *err)
{
    static const char sql[] = "insert into millrace.prices as old (" KEY ", " RATES(
        "") ")"
            " select provider, model, timestamptz 'epoch' + from_ms * interval '1 millisecond',"
            " above_tokens, timestamptz 'epoch' + nullif(to_ms, 0) * interval '1 millisecond',"
            " input, cached, cache_write, cache_write_1h, output, nullif(batch_percent, 0), source"
            " from jsonb_to_recordset($1::jsonb) as p(provider text, model text, from_ms bigint,"
            " to_ms bigint, above_tokens bigint, input bigint, cached bigint, cache_write bigint,"
            " cache_write_1h bigint, output bigint, batch_percent smallint, source text)"
            " on conflict (" KEY ") do update set (" RATES("") ") = (" RATES(
                "excluded.") ")"
                             " where $2::boolean and (" RATES("old.") ") is distinct from (" RATES(
                                 "excluded.") ")";

    char *json = rows_json(prices);
    if (!json)
        return no_memory(err);
    const char *const values[] = {json, replace ? "t" : "f"};
    PGresult *result = PQexecParams(conn, sql, 2, NULL, values, NULL, NULL, 0);
    free(json);
    int rc = 0;
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        rc = mr_pg_error(conn, result, "storing the price list", err);
    else
        *ret_written = (int)strtol(PQcmdTuples(result), NULL, 10);
    PQclear(result);
    return rc;
}

static int64_t number(const PGresult *result, int row, int column)
{
    return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

static void read_row(const PGresult *result, int row, struct mr_price *ret)
{
    snprintf(ret->provider, sizeof(ret->provider), "%s", PQgetvalue(result, row, 0));
    snprintf(ret->model, sizeof(ret->model), "%s", PQgetvalue(result, row, 1));
    snprintf(ret->source, sizeof(ret->source), "%s", PQgetvalue(result, row, 2));
    ret->id = number(result, row, 3);
    ret->from_ms = number(result, row, 4);
    ret->to_ms = number(result, row, 5);
    ret->above_tokens = number(result, row, 6);
    ret->input = number(result, row, 7);
    ret->cached = number(result, row, 8);
    ret->cache_write = number(result, row, 9);
    ret->cache_write_1h = number(result, row, 10);
    ret->output = number(result, row, 11);
    ret->batch_percent = (int)number(result, row, 12);
}

int mr_prices_load(PGconn *conn, struct mr_prices *ret, struct mr_err *err)
{
    static const char sql[] =
        "select provider, model, source, id, (extract(epoch from effective_from) * 1000)::bigint,"
        " coalesce((extract(epoch from effective_to) * 1000)::bigint, 0), above_tokens,"
        " input_pico, cached_pico, cache_write_pico, cache_write_1h_pico, output_pico,"
        " coalesce(batch_percent, 0) from millrace.prices order by id";

    PGresult *result = PQexec(conn, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        int rc = mr_pg_error(conn, result, "reading the price list", err);
        PQclear(result);
        return rc;
    }
    size_t count = (size_t)PQntuples(result);
    struct mr_prices prices = {.items = calloc(count + 1, sizeof(*prices.items)), .count = count};
    for (size_t i = 0; prices.items && i < count; i++)
        read_row(result, (int)i, &prices.items[i]);
    PQclear(result);
    if (!prices.items)
        return no_memory(err);
    *ret = prices;
    return 0;
}
