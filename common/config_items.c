/* The items of a list in all files, merged by name. */
#include "common/config_lists.h"

#include <errno.h>
#include <string.h>

/* The name and version say which earlier item this one replaces. */
static int add_item(
    struct mr_config_items *items, const struct mr_config_item *item, struct mr_err *err)
{
    for (size_t i = 0; i < items->count; i++) {
        struct mr_config_item *old = &items->at[i];
        if (strcmp(old->name, item->name) != 0 || old->version != item->version)
            continue;
        if (old->source == item->source)
            return mr_config_fail(item->source, item->group, err, -EINVAL,
                "%s '%s' is there twice, first in line %u", items->list, item->name,
                (unsigned)config_setting_source_line(old->group));
        *old = *item;
        return 0;
    }
    if (items->count == MR_CONFIG_ITEMS_MAX)
        return mr_config_fail(item->source, item->group, err, -EINVAL, "more than %d %s",
            MR_CONFIG_ITEMS_MAX, items->list);
    items->at[items->count++] = *item;
    return 0;
}

static int collect(
    struct mr_config_items *items, const struct mr_config_source *source, struct mr_err *err)
{
    const config_setting_t *root = config_root_setting(&source->tree), *list;

    int rc = mr_config_group_list(source, root, items->list, &list, err);
    for (unsigned i = 0; rc == 0 && list && i < (unsigned)config_setting_length(list); i++) {
        struct mr_config_item item = {.group = config_setting_get_elem(list, i), .source = source};
        if (!config_setting_lookup_string(item.group, items->id, &item.name))
            return mr_config_fail(source, item.group, err, -EINVAL,
                "%s: '%s' is missing or no string", items->list, items->id);
        if (strcmp(items->list, "pipelines") == 0 &&
            !config_setting_lookup_int(item.group, "version", &item.version))
            item.version = 1;
        rc = add_item(items, &item, err);
    }
    return rc;
}

int mr_config_gather(struct mr_config_items *ret, const char *list, const char *id,
    const struct mr_config_source *sources, size_t nsources, struct mr_err *err)
{
    int rc = 0;

    *ret = (struct mr_config_items){.list = list, .id = id};
    for (size_t i = 0; rc == 0 && i < nsources; i++)
        rc = collect(ret, &sources[i], err);
    return rc;
}
