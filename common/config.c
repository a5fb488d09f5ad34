/* The loaded snapshot: references, look-ups, keys, what a reload may change. */
#include "common/config_lists.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void free_pipeline(struct mr_pipeline *pipeline)
{
    for (size_t i = 0; i < pipeline->nsteps; i++) {
        mr_rows_clear(mr_config_step_rows(), &pipeline->steps[i]);
        free(pipeline->steps[i].schema_text);
        mr_schema_free(pipeline->steps[i].schema);
    }
    mr_rows_clear(mr_config_pipeline_rows(), pipeline);
}

static void free_provider(struct mr_provider *provider)
{
    for (size_t i = 0; i < provider->nendpoints; i++) {
        mr_secret_free(provider->endpoints[i].key);
        mr_rows_clear(mr_config_endpoint_rows(), &provider->endpoints[i]);
    }
    free(provider->endpoints);
    mr_custom_free(provider->custom);
    mr_rows_clear(mr_config_provider_rows(), provider);
}

static void free_config(struct mr_config *config)
{
    for (size_t i = 0; i < config->npipelines; i++)
        free_pipeline(&config->pipelines[i]);
    for (size_t i = 0; i < config->nmodels; i++)
        mr_config_free_model(&config->models[i]);
    for (size_t i = 0; i < config->nproviders; i++)
        free_provider(&config->providers[i]);
    mr_rows_clear(mr_config_scalars(), config);
    free(config->pipelines);
    free(config->models);
    free(config->providers);
    free(config);
}

struct mr_config *mr_config_ref(struct mr_config *config)
{
    assert(config->refs > 0);
    config->refs++;
    return config;
}

struct mr_config *mr_config_unref(struct mr_config *config)
{
    if (config) {
        assert(config->refs > 0);
        if (--config->refs == 0)
            free_config(config);
    }
    return NULL;
}

int mr_config_load_keys(struct mr_config *config, struct mr_err *err)
{
    for (size_t i = 0; i < config->nproviders; i++) {
        const struct mr_provider *provider = &config->providers[i];
        for (size_t e = 0; e < provider->nendpoints; e++) {
            struct mr_endpoint *endpoint = &provider->endpoints[e];
            int rc = endpoint->key ? 0
                                   : mr_secret_load(endpoint->key_file, endpoint->key_env,
                                         &endpoint->key, err);
            if (rc < 0 && provider->nendpoints > 1)
                mr_err_prefix(err, rc, "endpoint '%s'", endpoint->name);
            if (rc < 0)
                return mr_err_prefix(err, rc, "key of provider '%s'", provider->name);
        }
    }
    return 0;
}

int mr_config_keep_fixed(
    struct mr_config *next, const struct mr_config *running, struct mr_err *err)
{
    struct mr_rows rows = mr_config_scalars();
    char keys[MR_ERR_MAX] = "";
    size_t n = 0;

    for (size_t i = 0; i < rows.count; i++) {
        const struct mr_row *row = &rows.items[i];
        if (row->reloadable || mr_row_equal(row, running, next))
            continue;
        if (mr_row_copy(row, next, running) < 0)
            return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
        if (n < sizeof(keys))
            n += (size_t)snprintf(
                keys + n, sizeof(keys) - n, "%s%s.%s", n ? ", " : "", row->section, row->key);
    }
    return n ? mr_err_set(err, 1, MR_CLASS_INVALID, "%s", keys) : 0;
}

const struct mr_pipeline *mr_config_pipeline(
    const struct mr_config *config, const char *name, int version)
{
    const struct mr_pipeline *best = NULL;

    for (size_t i = 0; i < config->npipelines; i++) {
        const struct mr_pipeline *p = &config->pipelines[i];
        if (strcmp(p->name, name) != 0 || (version != 0 && p->version != version))
            continue;
        if (!best || p->version > best->version)
            best = p;
    }
    return best;
}
