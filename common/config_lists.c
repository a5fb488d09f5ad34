/* The lists of the configuration, one after the other: what is referred to is read first. */
#include "common/config_lists.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(struct mr_err *err)
{
    return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
}

static int read_pipeline(const struct mr_config *config, struct mr_pipeline *pipeline,
    const struct mr_config_item *item, struct mr_err *err)
{
    struct mr_rows rows = mr_config_pipeline_rows();

    int rc = mr_rows_default(rows, pipeline, err);
    if (rc == 0)
        rc = mr_rows_read(rows, "pipelines", pipeline, item->group, item->source, err);
    return rc < 0 ? rc : mr_config_read_steps(config, pipeline, item->group, item->source, err);
}

/* The counts grow first, so that whatever a failed item holds is freed with the rest. */
static int read_providers(
    struct mr_config *config, const struct mr_config_items *items, struct mr_err *err)
{
    int rc = 0;

    config->providers = calloc(items->count + 1, sizeof(*config->providers));
    if (!config->providers)
        return no_memory(err);
    for (size_t i = 0; rc == 0 && i < items->count; i++)
        rc = mr_config_read_provider(
            &config->providers[config->nproviders++], items->at[i].group, items->at[i].source, err);
    return rc;
}

static int read_pipelines(
    struct mr_config *config, const struct mr_config_items *items, struct mr_err *err)
{
    int rc = 0;

    config->pipelines = calloc(items->count + 1, sizeof(*config->pipelines));
    if (!config->pipelines)
        return no_memory(err);
    for (size_t i = 0; rc == 0 && i < items->count; i++)
        rc = read_pipeline(config, &config->pipelines[config->npipelines++], &items->at[i], err);
    return rc;
}

int mr_config_read_lists(struct mr_config *config, const struct mr_config_source *sources,
    size_t nsources, struct mr_err *err)
{
    static const struct {
        const char *list, *id;
        int (*read)(
            struct mr_config *config, const struct mr_config_items *items, struct mr_err *err);
    } lists[] = {
        {"retry", "class", mr_config_read_retry},
        {"providers", "name", read_providers},
        {"models", "alias", mr_config_read_models},
        {"pipelines", "name", read_pipelines},
    };
    struct mr_config_items items;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(lists) / sizeof(lists[0]); i++) {
        rc = mr_config_gather(&items, lists[i].list, lists[i].id, sources, nsources, err);
        if (rc == 0)
            rc = lists[i].read(config, &items, err);
    }
    return rc;
}
