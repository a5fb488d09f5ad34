/* millrace init: queues, tables and prices, declared as often as one likes. */
#include "common/amqp.h"
#include "common/pg.h"
#include "common/prices.h"
#include "producer/output.h"
#include "producer/pools.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct done {
    struct mr_pools pools;
    int migrations, prices;
};

static int init_broker(struct mr_cli *cli, const struct done *done, struct mr_err *err)
{
    amqp_connection_state_t conn;
    int r = mr_amqp_connect(&cli->config->broker, "millrace init", 1, &cli->random, &conn, err);
    if (r < 0)
        return r;
    r = mr_amqp_topology(
        conn, done->pools.names, done->pools.count, cli->config->broker.lane_shards, err);
    mr_amqp_close(conn, r == 0);
    return r;
}

static int init_database(struct mr_cli *cli, struct done *done, struct mr_err *err)
{
    PGconn *conn;
    struct mr_prices prices;
    int r = mr_pg_connect(&cli->config->database, MR_PG_OWNER, "millrace init", &conn, err);
    if (r < 0)
        return r;
    r = mr_pg_migrate(conn, &done->migrations, err);
    if (r == 0 && (r = mr_prices_parse(NULL, &prices, err)) == 0) {
        r = mr_prices_store(conn, &prices, false, &done->prices, err);
        mr_prices_deinit(&prices);
    }
    PQfinish(conn);
    return r;
}

static void tell_json(struct mr_cli *cli, const struct done *done, bool broker, bool database)
{
    json_t *pools = json_array();
    for (size_t i = 0; i < done->pools.count; i++)
        json_array_append_new(pools, json_string(done->pools.names[i]));
    mr_output_json(
        cli, json_pack("{s:b, s:b, s:o, s:i, s:i}", "broker", broker, "database", database, "pools",
                 pools, "migrations_applied", done->migrations, "prices_added", done->prices));
}

static void tell(struct mr_cli *cli, const struct done *done, bool broker, bool database)
{
    if (cli->format == MR_FORMAT_JSON) {
        tell_json(cli, done, broker, database);
        return;
    }
    if (broker) {
        fputs("RabbitMQ    exchanges and queues stand; pools:", cli->out);
        for (size_t i = 0; i < done->pools.count; i++)
            fprintf(cli->out, " %s", done->pools.names[i]);
        fputc('\n', cli->out);
    }
    if (database && done->migrations)
        fprintf(cli->out, "PostgreSQL  %d migration%s applied\n", done->migrations,
            done->migrations == 1 ? "" : "s");
    if (database && !done->migrations)
        fputs("PostgreSQL  tables are up to date; functions and views made anew\n", cli->out);
    if (database && done->prices)
        fprintf(cli->out, "Prices      %d added\n", done->prices);
    if (database && !done->prices)
        fputs("Prices      up to date\n", cli->out);
}

static enum mr_exit run(struct mr_cli *cli)
{
    struct done done = {0};
    struct mr_err err;
    if (mr_pools_list(cli->config, &done.pools) < 0) {
        mr_cli_error(cli, "out of memory");
        return MR_EXIT_FAILED;
    }
    /* Each is tried, so that one run tells everything that is wrong. */
    bool broker = init_broker(cli, &done, &err) == 0;
    if (!broker)
        mr_cli_error(cli, "%s", err.msg);
    bool database = init_database(cli, &done, &err) == 0;
    if (!database)
        mr_cli_error(cli, "%s", err.msg);
    tell(cli, &done, broker, database);
    mr_pools_deinit(&done.pools);
    return broker && database ? MR_EXIT_OK : MR_EXIT_UNREACHABLE;
}

const struct mr_command mr_cmd_init = {
    .name = "init",
    .operands = "",
    .summary = "declare queues, tables and prices",
    .details =
        "Declares the exchanges and queues for every pool that the configured pipelines use, "
        "brings "
        "the database schema up to date and adds shipped prices that are not there yet. It may be "
        "run again at any time, also while workers run: what exists is left alone.\n\n"
        "It needs the database's owner (database.owner_user), and a RabbitMQ user who may "
        "configure millrace.*; every other command and the workers get by with less.",
    .examples = "  millrace init\n  millrace --config /etc/millrace/millrace.cfg init\n",
    .output = mr_options_output,
    .run = run,
};
