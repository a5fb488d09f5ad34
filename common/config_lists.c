/* Providers, models and pipelines: the items of all files merged by name, then read. */
#include "common/config_row.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS_MAX 256
#define PARAMS_DEPTH 4

/* One group of a list, wherever it was found. */
struct item {
    const config_setting_t *group;
    const struct mr_config_source *source;
    const char *name;
    int version; /* pipelines; else 0 */
};

struct items {
    const char *list; /* "providers" */
    const char *id;   /* the key that names an item */
    struct item at[ITEMS_MAX];
    size_t count;
};

static int no_memory(struct mr_err *err)
{
    return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
}

/* The name and version say which earlier item this one replaces. */
static int add_item(struct items *items, const struct item *item, struct mr_err *err)
{
    for (size_t i = 0; i < items->count; i++) {
        struct item *old = &items->at[i];
        if (strcmp(old->name, item->name) != 0 || old->version != item->version)
            continue;
        if (old->source == item->source)
            return mr_config_fail(item->source, item->group, err, -EINVAL,
                "%s '%s' is there twice, first in line %u", items->list, item->name,
                (unsigned)config_setting_source_line(old->group));
        *old = *item;
        return 0;
    }
    if (items->count == ITEMS_MAX)
        return mr_config_fail(
            item->source, item->group, err, -EINVAL, "more than %d %s", ITEMS_MAX, items->list);
    items->at[items->count++] = *item;
    return 0;
}

static int collect(struct items *items, const struct mr_config_source *source, struct mr_err *err)
{
    const config_setting_t *root = config_root_setting(&source->tree), *list;

    int rc = mr_config_group_list(source, root, items->list, &list, err);
    for (unsigned i = 0; rc == 0 && list && i < (unsigned)config_setting_length(list); i++) {
        struct item item = {.group = config_setting_get_elem(list, i), .source = source};
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

static int read_provider(struct mr_provider *provider, const struct item *item, struct mr_err *err)
{
    struct mr_rows rows = mr_config_provider_rows();

    int rc = mr_rows_default(rows, provider, err);
    if (rc == 0)
        rc = mr_rows_read(rows, "providers", provider, item->group, item->source, err);
    if (rc < 0)
        return rc;
    if (provider->key_file && provider->key_env)
        return mr_config_fail(item->source, item->group, err, -EINVAL,
            "provider '%s': key_file and key_env exclude each other", provider->name);
    if (provider->kind == MR_PROVIDER_LOCAL) {
        /* The price list knows it by this name: under another it would be charged for. */
        if (strcmp(provider->name, "local") != 0)
            return mr_config_fail(item->source, item->group, err, -EINVAL,
                "provider '%s': the one of kind local must be named 'local'", provider->name);
        if (provider->base_url || provider->key_file || provider->key_env)
            return mr_config_fail(item->source, item->group, err, -EINVAL,
                "provider '%s': kind local takes no base_url and no key", provider->name);
        return 0;
    }
    if (!provider->base_url)
        provider->base_url =
            strdup(provider->kind == MR_PROVIDER_ANTHROPIC ? "https://api.anthropic.com/v1"
                                                           : "https://api.openai.com/v1");
    return provider->base_url ? 0 : no_memory(err);
}

/* A setting as JSON, whatever it is. NULL: no memory, or nested too deeply. */
static json_t *setting_json(const config_setting_t *setting, int depth)
{
    int type = config_setting_type(setting);

    switch (type) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return json_integer(config_setting_get_int64(setting));
    case CONFIG_TYPE_FLOAT:
        return json_real(config_setting_get_float(setting));
    case CONFIG_TYPE_BOOL:
        return json_boolean(config_setting_get_bool(setting));
    case CONFIG_TYPE_STRING:
        return json_string(config_setting_get_string(setting));
    default:
        break;
    }
    if (depth == 0)
        return NULL;
    json_t *json = type == CONFIG_TYPE_GROUP ? json_object() : json_array();
    for (unsigned i = 0; json && i < (unsigned)config_setting_length(setting); i++) {
        const config_setting_t *member = config_setting_get_elem(setting, i);
        json_t *value = setting_json(member, depth - 1);
        if (type == CONFIG_TYPE_GROUP
                ? json_object_set_new(json, config_setting_name(member), value) < 0
                : json_array_append_new(json, value) < 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

/* The codec writes these itself. */
static bool is_reserved(const char *param)
{
    static const char *const reserved[] = {"model", "messages", "stream", "n"};

    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (strcmp(reserved[i], param) == 0)
            return true;
    return false;
}

static int read_params(struct mr_model *model, const struct item *item, struct mr_err *err)
{
    const config_setting_t *params = config_setting_get_member(item->group, "params");

    if (params && !config_setting_is_group(params))
        return mr_config_fail(
            item->source, params, err, -EINVAL, "models.params: must be a group { ... }");
    for (unsigned i = 0; params && i < (unsigned)config_setting_length(params); i++) {
        const config_setting_t *param = config_setting_get_elem(params, i);
        if (is_reserved(config_setting_name(param)))
            return mr_config_fail(item->source, param, err, -EINVAL,
                "models.params: '%s' is not yours to set", config_setting_name(param));
    }
    model->params = params ? setting_json(params, PARAMS_DEPTH) : json_object();
    if (model->params)
        return 0;
    return params ? mr_config_fail(item->source, params, err, -EINVAL,
                        "models.params: nested too deeply, or not UTF-8")
                  : no_memory(err);
}

static int read_model(const struct mr_config *config, struct mr_model *model,
    const struct item *item, struct mr_err *err)
{
    struct mr_rows rows = mr_config_model_rows();

    int rc = mr_rows_default(rows, model, err);
    if (rc == 0)
        rc = mr_rows_read(rows, "models", model, item->group, item->source, err);
    if (rc == 0)
        rc = read_params(model, item, err);
    if (rc < 0)
        return rc;
    const config_setting_t *setting = config_setting_get_member(item->group, "provider");
    const char *name = config_setting_get_string(setting);
    if (!name)
        return mr_config_fail(
            item->source, setting, err, -EINVAL, "models.provider: must be a string");
    struct mr_nearest nearest = {.word = name};
    for (size_t i = 0; i < config->nproviders; i++) {
        if (strcmp(config->providers[i].name, name) == 0) {
            model->provider = &config->providers[i];
            return 0;
        }
        mr_nearest_offer(&nearest, config->providers[i].name);
    }
    char hint[MR_NEAREST_LEN];
    return mr_config_fail(item->source, setting, err, -EINVAL,
        "model '%s': unknown provider '%.64s'%s", model->alias, name,
        mr_nearest_hint(&nearest, hint));
}

static int read_pipeline(const struct mr_config *config, struct mr_pipeline *pipeline,
    const struct item *item, struct mr_err *err)
{
    struct mr_rows rows = mr_config_pipeline_rows();

    int rc = mr_rows_default(rows, pipeline, err);
    if (rc == 0)
        rc = mr_rows_read(rows, "pipelines", pipeline, item->group, item->source, err);
    return rc < 0 ? rc : mr_config_read_steps(config, pipeline, item->group, item->source, err);
}

static int gather(struct items *items, const char *list, const char *id,
    const struct mr_config_source *sources, size_t nsources, struct mr_err *err)
{
    int rc = 0;

    *items = (struct items){.list = list, .id = id};
    for (size_t i = 0; rc == 0 && i < nsources; i++)
        rc = collect(items, &sources[i], err);
    return rc;
}

/* In this order: what is referred to is there, and does not move any more. The counts grow first,
 * so that whatever a failed item holds is freed with the rest. */
int mr_config_read_lists(struct mr_config *config, const struct mr_config_source *sources,
    size_t nsources, struct mr_err *err)
{
    struct items items;

    int rc = gather(&items, "providers", "name", sources, nsources, err);
    config->providers = rc < 0 ? NULL : calloc(items.count + 1, sizeof(*config->providers));
    for (size_t i = 0; rc == 0 && config->providers && i < items.count; i++)
        rc = read_provider(&config->providers[config->nproviders++], &items.at[i], err);
    if (rc == 0)
        rc = gather(&items, "models", "alias", sources, nsources, err);
    config->models = rc < 0 ? NULL : calloc(items.count + 1, sizeof(*config->models));
    for (size_t i = 0; rc == 0 && config->models && i < items.count; i++)
        rc = read_model(config, &config->models[config->nmodels++], &items.at[i], err);
    if (rc == 0)
        rc = gather(&items, "pipelines", "name", sources, nsources, err);
    config->pipelines = rc < 0 ? NULL : calloc(items.count + 1, sizeof(*config->pipelines));
    for (size_t i = 0; rc == 0 && config->pipelines && i < items.count; i++)
        rc = read_pipeline(config, &config->pipelines[config->npipelines++], &items.at[i], err);
    if (rc < 0)
        return rc;
    bool complete = config->providers && config->models && config->pipelines;
    return complete ? 0 : no_memory(err);
}
