/* What models say of each other: which one is asked instead, and which when one fails. */
#include "common/config_lists.h"
#include "common/expr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FALLBACKS_MAX 16
#define RULES_MAX 32

/* A model that is read. */
struct place {
    const struct mr_config *config;
    struct mr_model *model;
    const struct mr_config_item *item;
};

/* err = "file:line: model 'm': text" */
#define MODEL_FAIL(place, setting, err, fmt, ...)                                                  \
    mr_config_fail((place)->item->source, setting, err, -EINVAL, "model '%s': " fmt,               \
        (place)->model->alias __VA_OPT__(, ) __VA_ARGS__)

static int no_memory(struct mr_err *err)
{
    return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
}

const struct mr_model *mr_config_model(const struct mr_config *config, const char *alias)
{
    for (size_t i = 0; i < config->nmodels; i++)
        if (strcmp(config->models[i].alias, alias) == 0)
            return &config->models[i];
    return NULL;
}

/* Another model, by the alias in a setting. key: what the setting is called. */
static int find_other(const struct place *place, const config_setting_t *setting, const char *key,
    const struct mr_model **ret, struct mr_err *err)
{
    const char *alias = config_setting_get_string(setting);
    char hint[MR_NEAREST_LEN];

    if (!alias)
        return MODEL_FAIL(place, setting, err, "%s must be the alias of a model", key);
    struct mr_nearest nearest = {.word = alias};
    for (size_t i = 0; i < place->config->nmodels; i++)
        mr_nearest_offer(&nearest, place->config->models[i].alias);
    *ret = mr_config_model(place->config, alias);
    if (!*ret)
        return MODEL_FAIL(place, setting, err, "%s names '%.64s', which is no model%s", key, alias,
            mr_nearest_hint(&nearest, hint));
    return *ret == place->model ? MODEL_FAIL(place, setting, err, "%s names itself", key) : 0;
}

static int add_fallback(
    const struct place *place, const config_setting_t *setting, struct mr_err *err)
{
    struct mr_model *model = place->model;
    const struct mr_model *other;

    int rc = find_other(place, setting, "fallback", &other, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < model->nfallback; i++)
        if (model->fallback[i] == other)
            return MODEL_FAIL(place, setting, err, "fallback names '%s' twice", other->alias);
    const struct mr_model *last = model->nfallback ? model->fallback[model->nfallback - 1] : model;
    if (last->provider->kind == MR_PROVIDER_LOCAL)
        return MODEL_FAIL(place, setting, err,
            "fallback: nothing comes after '%s': the local provider is never down", last->alias);
    model->fallback[model->nfallback++] = other;
    return 0;
}

static int read_fallback(const struct place *place, struct mr_err *err)
{
    const config_setting_t *list = config_setting_get_member(place->item->group, "fallback");
    int rc = 0;

    if (!list)
        return 0;
    if (!config_setting_is_array(list) && !config_setting_is_list(list))
        return MODEL_FAIL(
            place, list, err, "fallback must be a list of aliases such as [\"b\", \"local\"]");
    int count = config_setting_length(list);
    if (count > FALLBACKS_MAX)
        return MODEL_FAIL(place, list, err, "fallback has more than %d aliases", FALLBACKS_MAX);
    place->model->fallback = calloc((size_t)count + 1, sizeof(struct mr_model *));
    if (!place->model->fallback)
        return no_memory(err);
    for (unsigned i = 0; rc == 0 && i < (unsigned)count; i++)
        rc = add_fallback(place, config_setting_get_elem(list, i), err);
    return rc;
}

static int read_rule(const struct place *place, const config_setting_t *group, struct mr_rule *rule,
    struct mr_err *err)
{
    struct mr_rows rows = mr_config_rule_rows();

    int rc = mr_rows_read(rows, "choose", rule, group, place->item->source, err);
    if (rc < 0)
        return rc;
    rc = mr_expr_compile(rule->when, &rule->condition, err);
    if (rc < 0) {
        mr_err_prefix(err, rc, "model '%s': when", place->model->alias);
        return mr_config_locate(
            place->item->source, config_setting_get_member(group, "when"), err, rc);
    }
    return find_other(place, config_setting_get_member(group, "use"), "use", &rule->use, err);
}

static int read_rules(const struct place *place, struct mr_err *err)
{
    const config_setting_t *list;
    struct mr_model *model = place->model;

    int rc = mr_config_group_list(place->item->source, place->item->group, "choose", &list, err);
    if (rc < 0 || !list)
        return rc;
    size_t count = (size_t)config_setting_length(list);
    if (count > RULES_MAX)
        return MODEL_FAIL(place, list, err, "choose has more than %d rules", RULES_MAX);
    model->rules = calloc(count + 1, sizeof(*model->rules));
    if (!model->rules)
        return no_memory(err);
    while (rc == 0 && model->nrules < count) {
        size_t i = model->nrules++;
        rc = read_rule(place, config_setting_get_elem(list, (unsigned)i), &model->rules[i], err);
    }
    return rc;
}

/* Whether rules lead from a model to another. Bounded: each step goes to a model not yet seen. */
static bool leads_to(const struct mr_config *config, const struct mr_model *from,
    const struct mr_model *to, bool seen[static MR_CONFIG_ITEMS_MAX])
{
    if (from == to)
        return true;
    if (seen[from - config->models])
        return false;
    seen[from - config->models] = true;
    for (size_t i = 0; i < from->nrules; i++)
        if (leads_to(config, from->rules[i].use, to, seen))
            return true;
    return false;
}

static int check_circle(const struct place *place, struct mr_err *err)
{
    for (size_t i = 0; i < place->model->nrules; i++) {
        bool seen[MR_CONFIG_ITEMS_MAX] = {false};
        const struct mr_model *use = place->model->rules[i].use;
        if (leads_to(place->config, use, place->model, seen))
            return MODEL_FAIL(place, config_setting_get_member(place->item->group, "choose"), err,
                "choose goes in a circle: the rules of '%s' lead back here", use->alias);
    }
    return 0;
}

int mr_config_link_models(
    struct mr_config *config, const struct mr_config_items *items, struct mr_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < config->nmodels; i++) {
        struct place place = {config, &config->models[i], &items->at[i]};
        rc = read_fallback(&place, err);
        if (rc == 0)
            rc = read_rules(&place, err);
    }
    for (size_t i = 0; rc == 0 && i < config->nmodels; i++) {
        struct place place = {config, &config->models[i], &items->at[i]};
        rc = check_circle(&place, err);
    }
    return rc;
}

static bool falls_to_local(const struct mr_config *config, const struct mr_model *model,
    bool seen[static MR_CONFIG_ITEMS_MAX])
{
    if (seen[model - config->models])
        return false;
    seen[model - config->models] = true;
    for (size_t i = 0; i < model->nfallback; i++)
        if (model->fallback[i]->provider->kind == MR_PROVIDER_LOCAL)
            return true;
    for (size_t i = 0; i < model->nrules; i++)
        if (falls_to_local(config, model->rules[i].use, seen))
            return true;
    return false;
}

bool mr_config_falls_to_local(const struct mr_config *config, const struct mr_model *model)
{
    bool seen[MR_CONFIG_ITEMS_MAX] = {false};

    return falls_to_local(config, model, seen);
}

const struct mr_model *mr_model_choose(
    const struct mr_model *model, const struct mr_expr_vars *vars, const struct mr_rule **ret_rule)
{
    *ret_rule = NULL;
    for (size_t i = 0; i < model->nrules;) {
        const struct mr_rule *rule = &model->rules[i++];
        if (!mr_expr_true(rule->condition, vars))
            continue;
        *ret_rule = rule;
        model = rule->use;
        i = 0;
    }
    return model;
}
