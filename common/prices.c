/* Reading a price list. */
#include "common/prices.h"

#include "common/clock.h"
#include "common/config_row.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EMBEDDED_FILE "ops/prices.cfg"
#define PRICES_MAX 10000
#define RATE_MAX 1000000000000 /* a dollar a token */

/* One entry of the list: the same rates for several models. */
struct entry {
    char *provider, *from, *to, *source;
    struct mr_strv models;
    int64_t above_tokens, input, cached, cache_write, cache_write_1h, output;
    int batch_percent;
};

#define AT(member) .offset = offsetof(struct entry, member)
static const struct mr_row rows[] = {
    {"prices", "provider", MR_ROW_NAME, AT(provider), .required = true},
    {"prices", "models", MR_ROW_STRV, AT(models), .required = true},
    {"prices", "from", MR_ROW_STR, AT(from), .max = 40},
    {"prices", "to", MR_ROW_STR, AT(to), .max = 40},
    {"prices", "above_tokens", MR_ROW_SIZE, AT(above_tokens), 1, 1000000000},
    {"prices", "input", MR_ROW_RATE, AT(input), 0, RATE_MAX, .required = true},
    {"prices", "cached", MR_ROW_RATE, AT(cached), 0, RATE_MAX},
    {"prices", "cache_write", MR_ROW_RATE, AT(cache_write), 0, RATE_MAX},
    {"prices", "cache_write_1h", MR_ROW_RATE, AT(cache_write_1h), 0, RATE_MAX},
    {"prices", "output", MR_ROW_RATE, AT(output), 0, RATE_MAX, .required = true},
    {"prices", "batch_percent", MR_ROW_INT, AT(batch_percent), 1, 100},
    {"prices", "source", MR_ROW_STR, AT(source), .max = sizeof(((struct mr_price *)0)->source) - 1},
};
#undef AT

static struct mr_rows entry_rows(void)
{
    return (struct mr_rows){rows, sizeof(rows) / sizeof(rows[0])};
}

static int parse_date(const char *text, int64_t *ret_ms)
{
    return text ? mr_date_parse(text, ret_ms) : 0;
}

bool mr_price_same_key(const struct mr_price *a, const struct mr_price *b)
{
    return a->from_ms == b->from_ms && a->above_tokens == b->above_tokens &&
           strcmp(a->model, b->model) == 0 && strcmp(a->provider, b->provider) == 0;
}

static int add_price(struct mr_prices *prices, struct mr_price *price, const char *model)
{
    size_t n = strlen(model);

    if (n >= sizeof(price->model) || strcspn(model, "*") < n - 1)
        return -EINVAL;
    memcpy(price->model, model, n + 1);
    for (size_t i = 0; i < prices->count; i++)
        if (mr_price_same_key(&prices->items[i], price))
            return -EEXIST;
    if (prices->count >= PRICES_MAX)
        return -E2BIG;
    struct mr_price *items = reallocarray(prices->items, prices->count + 1, sizeof(*items));
    if (!items)
        return -ENOMEM;
    prices->items = items;
    items[prices->count++] = *price;
    return 0;
}

/* What an entry does not name costs what is never less: a cached or written token like any prompt
 * token, the 1-hour kind like the 5-minute one. */
static void fill_rates(struct mr_price *price, const struct entry *entry)
{
    price->above_tokens = entry->above_tokens;
    price->input = entry->input;
    price->cached = entry->cached < 0 ? entry->input : entry->cached;
    price->cache_write = entry->cache_write < 0 ? entry->input : entry->cache_write;
    price->cache_write_1h = entry->cache_write_1h < 0 ? price->cache_write : entry->cache_write_1h;
    price->output = entry->output;
    price->batch_percent = entry->batch_percent;
}

static int add_entry(struct mr_prices *prices, const struct entry *entry,
    const config_setting_t *group, const struct mr_config_source *source, struct mr_err *err)
{
    struct mr_price price = {0};

    if (parse_date(entry->from, &price.from_ms) < 0 || parse_date(entry->to, &price.to_ms) < 0)
        return mr_config_fail(
            source, group, err, -EINVAL, "from and to must be dates such as \"2026-11-22\"");
    if (price.to_ms != 0 && price.to_ms <= price.from_ms)
        return mr_config_fail(source, group, err, -EINVAL, "'to' must come after 'from'");
    fill_rates(&price, entry);
    snprintf(price.provider, sizeof(price.provider), "%s", entry->provider);
    snprintf(price.source, sizeof(price.source), "%s", entry->source ? entry->source : "");
    for (size_t i = 0; i < entry->models.count; i++) {
        int rc = add_price(prices, &price, entry->models.items[i]);
        if (rc < 0)
            return mr_config_fail(source, group, err, rc, "price of %s '%s': %s", entry->provider,
                entry->models.items[i],
                rc == -EEXIST   ? "is there twice"
                : rc == -EINVAL ? "must be a model's name or a beginning of it with '*'"
                                : strerror(-rc));
    }
    return 0;
}

static int read_entries(
    struct mr_prices *prices, const struct mr_config_source *source, struct mr_err *err)
{
    const config_setting_t *root = config_root_setting(&source->tree), *list;

    int rc = mr_config_group_list(source, root, "prices", &list, err);
    if (rc == 0 && (!list || config_setting_length(root) != 1))
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "%s: must hold one list, prices: ( ... ), and nothing else", source->file);
    for (unsigned i = 0; rc == 0 && i < (unsigned)config_setting_length(list); i++) {
        const config_setting_t *group = config_setting_get_elem(list, i);
        struct entry entry = {.cached = -1, .cache_write = -1, .cache_write_1h = -1};
        rc = mr_rows_read(entry_rows(), "prices", &entry, group, source, err);
        if (rc == 0)
            rc = add_entry(prices, &entry, group, source, err);
        mr_rows_clear(entry_rows(), &entry);
    }
    return rc;
}

int mr_prices_parse(const char *path, struct mr_prices *ret, struct mr_err *err)
{
    struct mr_prices prices = {0};
    struct mr_config_source source;

    int rc = mr_config_source_open(&source, path, EMBEDDED_FILE, err);
    if (rc < 0)
        return rc;
    rc = read_entries(&prices, &source, err);
    mr_config_source_deinit(&source);
    if (rc < 0) {
        mr_prices_deinit(&prices);
        return rc;
    }
    *ret = prices;
    return 0;
}

void mr_prices_set_ceiling(struct mr_prices *prices, const struct mr_config_money *money)
{
    prices->ceiling = (struct mr_price){
        .provider = "unknown",
        .model = "*",
        .input = money->ceiling_input,
        .cached = money->ceiling_input,
        .cache_write = money->ceiling_input,
        .cache_write_1h = money->ceiling_input,
        .output = money->ceiling_output,
    };
}
