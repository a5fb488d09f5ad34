/* The wire format of a provider of kind "custom". */
#include "common/config_lists.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int read_body_file(struct mr_custom *custom, const config_setting_t *setting,
    const struct mr_config_source *source, struct mr_err *err)
{
    const char *name = config_setting_get_string(setting);

    if (custom->body)
        return mr_config_fail(
            source, setting, err, -EINVAL, "custom: body and body_file exclude each other");
    if (!name || !*name)
        return mr_config_fail(
            source, setting, err, -EINVAL, "custom.body_file: must be a file name");
    char *path = mr_config_path(source->dir, name), *text = NULL;
    if (!path)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    int rc = mr_config_read_file(source, setting, path, &text, err);
    free(path);
    if (rc < 0)
        return rc;
    const struct mr_row *row = mr_rows_find(mr_config_custom_rows(), "custom", "body");
    rc = mr_row_set(row, custom, text, NULL, err);
    free(text);
    return rc < 0 ? mr_config_locate(source, setting, err, rc) : 0;
}

/* "x-api-key" and "Authorization: Bearer" become what stands before the key: "x-api-key: ". */
static int finish_key_header(struct mr_custom *custom, struct mr_err *err)
{
    size_t n = strlen(custom->key_header);
    char *line;

    while (n > 0 && custom->key_header[n - 1] == ' ')
        n--;
    const char *end = memchr(custom->key_header, ':', n) ? " " : ": ";
    if (asprintf(&line, "%.*s%s", (int)n, custom->key_header, end) < 0)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    free(custom->key_header);
    custom->key_header = line;
    return 0;
}

int mr_config_read_custom(struct mr_provider *provider, const config_setting_t *group,
    const struct mr_config_source *source, struct mr_err *err)
{
    const config_setting_t *own = config_setting_get_member(group, "custom");
    struct mr_rows rows = mr_config_custom_rows();

    if (provider->kind != MR_PROVIDER_CUSTOM)
        return own ? mr_config_fail(source, own, err, -EINVAL,
                         "provider '%s': 'custom' is for kind custom", provider->name)
                   : 0;
    if (!own || !config_setting_is_group(own))
        return mr_config_fail(source, own ? own : group, err, -EINVAL,
            "provider '%s': kind custom needs custom = { ... }, which describes the wire format",
            provider->name);
    provider->custom = calloc(1, sizeof(*provider->custom));
    if (!provider->custom)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    int rc = mr_rows_default(rows, provider->custom, err);
    if (rc == 0)
        rc = mr_rows_read(rows, "custom", provider->custom, own, source, err);
    const config_setting_t *file = config_setting_get_member(own, "body_file");
    if (rc == 0 && file)
        rc = read_body_file(provider->custom, file, source, err);
    if (rc < 0)
        return rc;
    rc = finish_key_header(provider->custom, err);
    if (rc == 0)
        rc = mr_custom_check(provider->custom, err);
    if (rc == 0)
        return 0;
    mr_err_prefix(err, rc, "provider '%s': custom", provider->name);
    return mr_config_locate(source, own, err, rc);
}
