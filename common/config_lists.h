/* The lists of a configuration, from the items of all files to the snapshot. Internal to
 * config_*.c.
 */
#pragma once

#include "common/config_row.h"
#include "common/custom.h"

#define MR_CONFIG_ITEMS_MAX 256

/* One group of a list, wherever it was found. */
struct mr_config_item {
    const config_setting_t *group;
    const struct mr_config_source *source;
    const char *name;
    int version; /* pipelines; else 0 */
};

struct mr_config_items {
    const char *list; /* "providers" */
    const char *id;   /* the key that names an item */
    struct mr_config_item at[MR_CONFIG_ITEMS_MAX];
    size_t count;
};

/* config_items.c: the items of a list, of all sources, merged by name. */
int mr_config_gather(struct mr_config_items *ret, const char *list, const char *id,
    const struct mr_config_source *sources, size_t nsources, struct mr_err *err) MR_CHECK;

/* config_providers.c, config_custom.c */
int mr_config_read_provider(struct mr_provider *provider, const config_setting_t *group,
    const struct mr_config_source *source, struct mr_err *err) MR_CHECK;
int mr_config_read_custom(struct mr_provider *provider, const config_setting_t *group,
    const struct mr_config_source *source, struct mr_err *err) MR_CHECK;

/* config_models.c: all of them, and then what they say of each other. The models' memory must not
 * move afterwards. */
int mr_config_read_models(
    struct mr_config *config, const struct mr_config_items *items, struct mr_err *err) MR_CHECK;
void mr_config_free_model(struct mr_model *model);
/* config_links.c */
int mr_config_link_models(
    struct mr_config *config, const struct mr_config_items *items, struct mr_err *err) MR_CHECK;
const struct mr_model *mr_config_model(const struct mr_config *config, const char *alias);
/* Whether the local provider is among the fallbacks of this model, or of one its rules choose. */
bool mr_config_falls_to_local(const struct mr_config *config, const struct mr_model *model);

/* config_retry.c */
struct mr_config_retry {
    char *class;
    struct mr_retry_rule rule;
};
int mr_config_read_retry(
    struct mr_config *config, const struct mr_config_items *items, struct mr_err *err) MR_CHECK;

/* All steps of a pipeline in the order they are written in. */
struct mr_config_draft {
    const struct mr_config *config;
    const struct mr_pipeline *pipeline;
    const struct mr_config_source *source;
    const config_setting_t *groups[MR_STEPS_MAX];
    struct mr_step_def steps[MR_STEPS_MAX];
    size_t count;
};

/* err = "file:line: pipeline 'p', step 's': text" */
#define MR_STEP_FAIL(draft, i, setting, err, fmt, ...)                                             \
    mr_config_fail((draft)->source, setting, err, -EINVAL, "pipeline '%s', step '%s': " fmt,       \
        (draft)->pipeline->name, (draft)->steps[i].name __VA_OPT__(, ) __VA_ARGS__)

/* config_step.c: one step, all but its `after`. */
int mr_config_read_step(struct mr_config_draft *draft, size_t i, struct mr_err *err) MR_CHECK;
/* config_steps.c */
int mr_config_read_steps(const struct mr_config *config, struct mr_pipeline *pipeline,
    const config_setting_t *group, const struct mr_config_source *source,
    struct mr_err *err) MR_CHECK;

/* A whole text file that a setting names; errors say where the setting is. What *ret holds is the
 * caller's to free. */
int mr_config_read_file(const struct mr_config_source *source, const config_setting_t *setting,
    const char *path, char **ret, struct mr_err *err) MR_CHECK;
