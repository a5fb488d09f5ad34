/* One provider and the endpoints where it answers. */
#include "common/config_lists.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ENDPOINTS_MAX 32

/* A group that is read: errors say where. */
struct place {
    const struct mr_provider *provider;
    const config_setting_t *group; /* the provider's */
    const struct mr_config_source *source;
};

#define PROVIDER_FAIL(place, setting, err, fmt, ...)                                               \
    mr_config_fail((place)->source, setting, err, -EINVAL, "provider '%s': " fmt,                  \
        (place)->provider->name __VA_OPT__(, ) __VA_ARGS__)

static int no_memory(struct mr_err *err)
{
    return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
}

static int unknown_key(
    const struct place *place, const config_setting_t *setting, struct mr_err *err)
{
    struct mr_nearest nearest = {.word = config_setting_name(setting)};
    const struct mr_rows rows[] = {mr_config_provider_rows(), mr_config_endpoint_rows()};
    char hint[MR_NEAREST_LEN];

    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
        for (size_t i = 0; i < rows[r].count; i++)
            mr_nearest_offer(&nearest, rows[r].items[i].key);
    return mr_config_fail(place->source, setting, err, -EINVAL, "unknown key '%s' in providers%s",
        nearest.word, mr_nearest_hint(&nearest, hint));
}

/* kind and name stand in the provider's group only, what an endpoint has may stand in both. */
static int check_keys(const struct place *place, struct mr_err *err)
{
    for (unsigned i = 0; i < (unsigned)config_setting_length(place->group); i++) {
        const config_setting_t *setting = config_setting_get_elem(place->group, i);
        const char *key = config_setting_name(setting);
        if (!mr_rows_find(mr_config_provider_rows(), "providers", key) &&
            !mr_rows_find(mr_config_endpoint_rows(), "endpoints", key))
            return unknown_key(place, setting, err);
    }
    return 0;
}

static const char *vendor_url(enum mr_provider_kind kind)
{
    return kind == MR_PROVIDER_ANTHROPIC ? "https://api.anthropic.com/v1"
                                         : "https://api.openai.com/v1";
}

/* An endpoint's own key takes the place of the provider's, wherever each of them lies. */
static void override_key(struct mr_endpoint *endpoint, const config_setting_t *own)
{
    bool file = config_setting_get_member(own, "key_file");
    bool env = config_setting_get_member(own, "key_env");

    if (file != env) {
        char **other = file ? &endpoint->key_env : &endpoint->key_file;
        free(*other);
        *other = NULL;
    }
}

static int check_endpoint(const struct place *place, const config_setting_t *where,
    const struct mr_endpoint *endpoint, struct mr_err *err)
{
    enum mr_provider_kind kind = place->provider->kind;

    if (endpoint->key_file && endpoint->key_env)
        return PROVIDER_FAIL(place, where, err, "key_file and key_env exclude each other");
    if (endpoint->health && endpoint->health[0] != '/')
        return PROVIDER_FAIL(place, where, err, "health must begin with a slash");
    if (kind == MR_PROVIDER_LOCAL &&
        (endpoint->base_url || endpoint->key_file || endpoint->key_env))
        return PROVIDER_FAIL(place, where, err, "kind local takes no base_url and no key");
    if (kind == MR_PROVIDER_CUSTOM && !endpoint->base_url)
        return PROVIDER_FAIL(place, where, err, "kind custom needs a base_url");
    return 0;
}

/* own: the endpoint's group, NULL when the provider's says it all. */
static int read_endpoint(const struct place *place, const config_setting_t *own,
    struct mr_endpoint *endpoint, struct mr_err *err)
{
    struct mr_rows rows = mr_config_endpoint_rows();

    endpoint->provider = place->provider;
    int rc = mr_rows_default(rows, endpoint, err);
    if (rc == 0)
        rc = mr_rows_read_some(rows, endpoint, place->group, place->source, err);
    if (rc == 0 && own)
        rc = mr_rows_read(rows, "endpoints", endpoint, own, place->source, err);
    if (rc < 0)
        return rc;
    if (own)
        override_key(endpoint, own);
    rc = check_endpoint(place, own ? own : place->group, endpoint, err);
    if (rc < 0 || endpoint->base_url || place->provider->kind == MR_PROVIDER_LOCAL)
        return rc;
    endpoint->base_url = strdup(vendor_url(place->provider->kind));
    return endpoint->base_url ? 0 : no_memory(err);
}

static int check_names(const struct place *place, const config_setting_t *list, struct mr_err *err)
{
    const struct mr_provider *provider = place->provider;

    for (size_t i = 0; i < provider->nendpoints; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(provider->endpoints[i].name, provider->endpoints[k].name) == 0)
                return PROVIDER_FAIL(place, config_setting_get_elem(list, (unsigned)i), err,
                    "endpoint '%s' is there twice; give each its own name",
                    provider->endpoints[i].name);
    return 0;
}

static int read_endpoints(
    struct mr_provider *provider, const struct place *place, struct mr_err *err)
{
    const config_setting_t *list;

    int rc = mr_config_group_list(place->source, place->group, "endpoints", &list, err);
    if (rc < 0)
        return rc;
    size_t count = list ? (size_t)config_setting_length(list) : 1;
    if (count < 1 || count > ENDPOINTS_MAX)
        return PROVIDER_FAIL(
            place, list, err, "must have 1 to %d endpoints, not %zu", ENDPOINTS_MAX, count);
    provider->endpoints = calloc(count, sizeof(*provider->endpoints));
    if (!provider->endpoints)
        return no_memory(err);
    while (rc == 0 && provider->nendpoints < count) {
        size_t i = provider->nendpoints++;
        const config_setting_t *own = list ? config_setting_get_elem(list, (unsigned)i) : NULL;
        rc = read_endpoint(place, own, &provider->endpoints[i], err);
    }
    return rc == 0 && list ? check_names(place, list, err) : rc;
}

int mr_config_read_provider(struct mr_provider *provider, const config_setting_t *group,
    const struct mr_config_source *source, struct mr_err *err)
{
    struct place place = {provider, group, source};
    struct mr_rows rows = mr_config_provider_rows();

    int rc = mr_rows_default(rows, provider, err);
    if (rc == 0)
        rc = check_keys(&place, err);
    if (rc == 0)
        rc = mr_rows_read_some(rows, provider, group, source, err);
    if (rc == 0)
        rc = mr_rows_required(rows, "providers", group, source, err);
    if (rc < 0)
        return rc;
    /* The price list knows it by this name: under another it would be charged for. */
    if (provider->kind == MR_PROVIDER_LOCAL && strcmp(provider->name, "local") != 0)
        return PROVIDER_FAIL(&place, group, err, "the one of kind local must be named 'local'");
    if (provider->kind == MR_PROVIDER_LOCAL && config_setting_get_member(group, "endpoints"))
        return PROVIDER_FAIL(&place, group, err, "kind local has no endpoints");
    rc = mr_config_read_custom(provider, group, source, err);
    return rc < 0 ? rc : read_endpoints(provider, &place, err);
}
