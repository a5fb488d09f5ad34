/* Models: each by itself; what they say of each other stands in config_links.c. */
#include "common/config_lists.h"
#include "common/expr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PARAMS_DEPTH 4

static int no_memory(struct mr_err *err)
{
    return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
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

static int read_params(
    struct mr_model *model, const struct mr_config_item *item, struct mr_err *err)
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

static int read_provider(const struct mr_config *config, struct mr_model *model,
    const struct mr_config_item *item, struct mr_err *err)
{
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

static int read_model(const struct mr_config *config, struct mr_model *model,
    const struct mr_config_item *item, struct mr_err *err)
{
    struct mr_rows rows = mr_config_model_rows();

    int rc = mr_rows_default(rows, model, err);
    if (rc == 0)
        rc = mr_rows_read(rows, "models", model, item->group, item->source, err);
    if (rc == 0)
        rc = read_params(model, item, err);
    if (rc == 0)
        rc = read_provider(config, model, item, err);
    if (rc < 0)
        return rc;
    if (strcmp(model->alias, "local") == 0 && model->provider->kind != MR_PROVIDER_LOCAL)
        return mr_config_fail(item->source, item->group, err, -EINVAL,
            "model 'local': the name is the built-in provider's, which fallbacks refer to by it");
    return 0;
}

int mr_config_read_models(
    struct mr_config *config, const struct mr_config_items *items, struct mr_err *err)
{
    int rc = 0;

    config->models = calloc(items->count + 1, sizeof(*config->models));
    if (!config->models)
        return no_memory(err);
    for (size_t i = 0; rc == 0 && i < items->count; i++)
        rc = read_model(config, &config->models[config->nmodels++], &items->at[i], err);
    return rc < 0 ? rc : mr_config_link_models(config, items, err);
}

void mr_config_free_model(struct mr_model *model)
{
    json_decref(model->params);
    for (size_t i = 0; i < model->nrules; i++) {
        mr_rows_clear(mr_config_rule_rows(), &model->rules[i]);
        mr_expr_free(model->rules[i].condition);
    }
    free(model->rules);
    free(model->fallback);
    mr_rows_clear(mr_config_model_rows(), model);
}
