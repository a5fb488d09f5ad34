/* mr_config_load: defaults, then files, then the environment, then checks. */
#include "common/config_row.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSTEM_FILE "/etc/millrace/millrace.cfg"
#define EMBEDDED_FILE "ops/config/default.cfg"
#define ENV_MAX 96

static const char *const list_names[] = {"retry", "providers", "models", "pipelines"};

static bool is_list_name(const char *name)
{
    for (size_t i = 0; i < sizeof(list_names) / sizeof(list_names[0]); i++)
        if (strcmp(list_names[i], name) == 0)
            return true;
    return false;
}

static int unknown_section(
    const config_setting_t *setting, const struct mr_config_source *source, struct mr_err *err)
{
    struct mr_rows rows = mr_config_scalars();
    struct mr_nearest nearest = {.word = config_setting_name(setting)};
    char hint[MR_NEAREST_LEN];

    for (size_t i = 0; i < rows.count; i++)
        mr_nearest_offer(&nearest, rows.items[i].section);
    for (size_t i = 0; i < sizeof(list_names) / sizeof(list_names[0]); i++)
        mr_nearest_offer(&nearest, list_names[i]);
    return mr_config_fail(source, setting, err, -EINVAL, "unknown section '%s'%s", nearest.word,
        mr_nearest_hint(&nearest, hint));
}

static bool is_section(struct mr_rows rows, const char *name)
{
    for (size_t i = 0; i < rows.count; i++)
        if (strcmp(rows.items[i].section, name) == 0)
            return true;
    return false;
}

static int read_scalars(
    struct mr_config *config, const struct mr_config_source *source, struct mr_err *err)
{
    const config_setting_t *root = config_root_setting(&source->tree);
    struct mr_rows rows = mr_config_scalars();

    for (unsigned i = 0; i < (unsigned)config_setting_length(root); i++) {
        const config_setting_t *section = config_setting_get_elem(root, i);
        const char *name = config_setting_name(section);
        if (is_list_name(name))
            continue;
        if (!is_section(rows, name))
            return unknown_section(section, source, err);
        if (!config_setting_is_group(section))
            return mr_config_fail(
                source, section, err, -EINVAL, "%s must be a group: %s: { ... };", name, name);
        int rc = mr_rows_read(rows, name, config, section, source, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* MILLRACE_<SECTION>_<KEY>; an empty variable counts as none. */
static int read_environment(struct mr_config *config, struct mr_err *err)
{
    struct mr_rows rows = mr_config_scalars();

    for (size_t i = 0; i < rows.count; i++) {
        const struct mr_row *row = &rows.items[i];
        char name[ENV_MAX];
        int n = snprintf(name, sizeof(name), "MILLRACE_%s_%s", row->section, row->key);
        assert(n > 0 && (size_t)n < sizeof(name));
        for (char *c = name; *c; c++)
            *c = (char)toupper((unsigned char)*c);
        const char *value = getenv(name);
        if (!value || !*value)
            continue;
        int rc = mr_row_set(row, config, value, NULL, err);
        if (rc < 0)
            return mr_err_prefix(err, rc, "%s", name);
    }
    return 0;
}

static int read_all(struct mr_config *config, const struct mr_config_source *sources,
    size_t nsources, struct mr_err *err)
{
    int rc = mr_rows_default(mr_config_scalars(), config, err);

    for (size_t i = 0; rc == 0 && i < nsources; i++)
        rc = read_scalars(config, &sources[i], err);
    if (rc == 0)
        rc = read_environment(config, err);
    if (rc == 0)
        rc = mr_config_read_lists(config, sources, nsources, err);
    return rc < 0 ? rc : mr_config_check(config, err);
}

static const char *find_file(const char *path)
{
    if (!path)
        path = getenv("MILLRACE_CONFIG");
    if (path && *path)
        return path;
    return access(SYSTEM_FILE, F_OK) == 0 ? SYSTEM_FILE : NULL;
}

int mr_config_load(const char *path, struct mr_config **ret, struct mr_err *err)
{
    struct mr_config_source sources[MR_CONFIG_SOURCES];
    size_t nsources = 0;

    path = find_file(path);
    struct mr_config *config = calloc(1, sizeof(*config));
    if (!config)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    config->refs = 1;
    int rc = mr_config_source_open(&sources[nsources], NULL, EMBEDDED_FILE, err);
    if (rc == 0)
        nsources++;
    if (rc == 0 && path) {
        rc = mr_config_source_open(&sources[nsources], path, NULL, err);
        if (rc == 0)
            nsources++;
    }
    if (rc == 0)
        rc = read_all(config, sources, nsources, err);
    while (nsources > 0)
        mr_config_source_deinit(&sources[--nsources]);
    if (rc < 0) {
        mr_config_unref(config);
        return rc;
    }
    *ret = config;
    return 0;
}
