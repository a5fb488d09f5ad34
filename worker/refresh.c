#include "worker/refresh.h"
#include "common/pg.h"
#include "common/prices.h"
#include "worker/steps/steps.h"

#include <errno.h>
#include <stdlib.h>

int mr_refresh_config(const char *path, struct mr_config **ret, struct mr_err *err)
{
    struct mr_config *config;
    int r = mr_config_load(path, &config, err);
    if (r < 0)
        return r;
    r = mr_chat_check_prompts(config, err);
    if (r == 0)
        r = mr_config_load_keys(config, err);
    if (r < 0) {
        mr_config_unref(config);
        return r;
    }
    *ret = config;
    return 0;
}

/* Through the worker's role; refuses a database of another schema version. */
static int load_prices(const struct mr_config *config, struct mr_prices **ret, struct mr_err *err)
{
    struct mr_prices *prices = calloc(1, sizeof(*prices));
    if (!prices)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    PGconn *conn = NULL;
    int r = mr_pg_connect(&config->database, MR_PG_WORKER, "millrace-worker prices", &conn, err);
    if (r == 0)
        r = mr_pg_check_version(conn, err);
    if (r == 0)
        r = mr_prices_load(conn, prices, err);
    PQfinish(conn);
    if (r < 0) {
        mr_refresh_prices_free(prices);
        return r;
    }
    mr_prices_set_ceiling(prices, &config->money);
    *ret = prices;
    return 0;
}

struct mr_prices *mr_refresh_prices_free(struct mr_prices *prices)
{
    if (prices)
        mr_prices_deinit(prices);
    free(prices);
    return NULL;
}

void mr_refresh_run(struct mr_refresh *refresh)
{
    struct mr_err *err = &refresh->err;
    refresh->rc = 0;
    if (!refresh->config) {
        refresh->rc = mr_refresh_config(refresh->path, &refresh->config, err);
        if (refresh->rc == 0)
            refresh->rc = mr_config_keep_fixed(refresh->config, refresh->running, err);
    }
    int rc = refresh->rc < 0 ? 0 : load_prices(refresh->config, &refresh->prices, err);
    if (rc < 0)
        refresh->rc = rc;
}

void mr_refresh_deinit(struct mr_refresh *refresh)
{
    mr_config_unref(refresh->config);
    mr_refresh_prices_free(refresh->prices);
    *refresh = (struct mr_refresh){0};
}
