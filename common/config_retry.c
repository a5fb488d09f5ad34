/* The retry table: how failures of a class are repeated. */
#include "common/config_lists.h"
#include "common/config_value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int check_class(const struct mr_config_item *item, struct mr_err *err)
{
    const struct mr_row *row = mr_rows_find(mr_config_retry_rows(), "retry", "class");

    if (mr_class_parse(item->name) != MR_CLASS_COUNT &&
        mr_choice_index(row->choices, item->name) < 0)
        return mr_config_fail(item->source, item->group, err, -EINVAL,
            "retry: the class '%s' is never repeated at the same place; those that can be are %s",
            item->name, row->choices);
    return 0;
}

static int read_rule(
    struct mr_config *config, const struct mr_config_item *item, struct mr_err *err)
{
    struct mr_rows rows = mr_config_retry_rows();
    struct mr_config_retry retry = {0};

    int rc = check_class(item, err);
    if (rc == 0)
        rc = mr_rows_default(rows, &retry, err);
    if (rc == 0)
        rc = mr_rows_read(rows, "retry", &retry, item->group, item->source, err);
    if (rc == 0 && retry.rule.max_ms < retry.rule.first_ms)
        rc = mr_config_fail(item->source, item->group, err, -EINVAL,
            "retry of '%s': max must not be less than first", retry.class);
    if (rc == 0)
        config->retry[mr_class_parse(retry.class)] = retry.rule;
    mr_rows_clear(rows, &retry);
    return rc;
}

int mr_config_read_retry(
    struct mr_config *config, const struct mr_config_items *items, struct mr_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < items->count; i++)
        rc = read_rule(config, &items->at[i], err);
    return rc;
}
