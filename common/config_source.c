/* A configuration file as libconfig reads it, and errors that say where. */
#include "common/buf.h"
#include "common/config_lists.h"
#include "common/embed.h"
#include "common/json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void mr_config_source_deinit(struct mr_config_source *source)
{
    config_destroy(&source->tree);
    free(source->dir);
}

static int read_text(
    struct mr_buf *text, const char *path, const char *embedded, struct mr_err *err)
{
    if (!path) {
        const struct mr_embedded *file = mr_embedded_find(embedded);
        if (!file)
            return mr_err_set(
                err, -ENOENT, MR_CLASS_INTERNAL, "%s is not part of this build", embedded);
        if (mr_buf_put(text, file->text, file->len) < 0)
            return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
        return 0;
    }
    int rc = mr_buf_read_file(text, path, err);
    if (rc < 0)
        return rc;
    if (text->len > 0 &&
        (memchr(text->data, '\0', text->len) || !mr_utf8_valid(text->data, text->len)))
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "%s: is not UTF-8 text", path);
    return 0;
}

/* libconfig's scanner ends the whole process when it is made to read a folder. */
static int check_include(
    const struct mr_config_source *source, const char *line, unsigned number, struct mr_err *err)
{
    struct stat st;
    const char *s = line + strspn(line, " \t");

    if (strncmp(s, "@include", 8) != 0)
        return 0;
    s += 8 + strspn(s + 8, " \t");
    const char *end = *s == '"' ? strpbrk(s + 1, "\"\n") : NULL;
    if (!end)
        return 0;
    char *name = strndup(s + 1, (size_t)(end - s - 1));
    char *path = name ? mr_config_path(source->dir, name) : NULL;
    bool bad = path && stat(path, &st) == 0 && !S_ISREG(st.st_mode);
    free(path);
    free(name);
    return bad ? mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "%s:%u: @include wants a file",
                     source->file, number)
               : 0;
}

static int check_includes(
    const struct mr_config_source *source, const char *text, struct mr_err *err)
{
    unsigned number = 1;
    int rc = 0;

    for (const char *line = text; rc == 0 && line; number++) {
        rc = check_include(source, line, number, err);
        line = strchr(line, '\n');
        if (line)
            line++;
    }
    return rc;
}

/* Everything relative in the file starts from its own folder. */
static int set_dir(struct mr_config_source *source, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 1;

    source->dir = slash ? strndup(n ? path : "/", n ? n : 1) : strdup(".");
    if (!source->dir)
        return -ENOMEM;
    config_set_include_dir(&source->tree, source->dir);
    return 0;
}

static int parse(
    struct mr_config_source *source, const char *path, const char *text, struct mr_err *err)
{
    if (path && set_dir(source, path) < 0)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    int rc = check_includes(source, text, err);
    if (rc < 0 || config_read_string(&source->tree, text))
        return rc;
    const char *file = config_error_file(&source->tree);
    return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "%s:%d: %s", file ? file : source->file,
        config_error_line(&source->tree), config_error_text(&source->tree));
}

/* Parses in place: every setting points back at its tree. */
int mr_config_source_open(
    struct mr_config_source *ret, const char *path, const char *embedded, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_deinit) struct mr_buf text = MR_BUF_INIT(MR_CONFIG_FILE_MAX);

    int rc = read_text(&text, path, embedded, err);
    if (rc < 0)
        return rc;
    *ret = (struct mr_config_source){.file = path ? path : embedded};
    config_init(&ret->tree);
    rc = parse(ret, path, text.data ? text.data : "", err);
    if (rc < 0)
        mr_config_source_deinit(ret);
    return rc;
}

int mr_config_locate(const struct mr_config_source *source, const config_setting_t *setting,
    struct mr_err *err, int code)
{
    const char *file = config_setting_source_file(setting);

    return mr_err_prefix(err, code, "%s:%u", file ? file : source->file,
        (unsigned)config_setting_source_line(setting));
}

int mr_config_fail(const struct mr_config_source *source, const config_setting_t *setting,
    struct mr_err *err, int code, const char *fmt, ...)
{
    char text[MR_ERR_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    mr_err_set(err, code, MR_CLASS_INVALID, "%s", text);
    return mr_config_locate(source, setting, err, code);
}

int mr_config_group_list(const struct mr_config_source *source, const config_setting_t *parent,
    const char *key, const config_setting_t **ret, struct mr_err *err)
{
    const config_setting_t *list = config_setting_get_member(parent, key);

    if (list && !config_setting_is_list(list))
        return mr_config_fail(source, list, err, -EINVAL,
            "%s must be a list of groups: %s: ( { ... }, { ... } );", key, key);
    for (unsigned i = 0; list && i < (unsigned)config_setting_length(list); i++) {
        const config_setting_t *group = config_setting_get_elem(list, i);
        if (!config_setting_is_group(group))
            return mr_config_fail(
                source, group, err, -EINVAL, "%s: every item must be a group { ... }", key);
    }
    *ret = list;
    return 0;
}

int mr_config_read_file(const struct mr_config_source *source, const config_setting_t *setting,
    const char *path, char **ret, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_deinit) struct mr_buf buf = MR_BUF_INIT(MR_CONFIG_FILE_MAX);

    int rc = mr_buf_read_file(&buf, path, err);
    if (rc < 0)
        return mr_config_locate(source, setting, err, rc);
    if (buf.len == 0 || memchr(buf.data, '\0', buf.len) || !mr_utf8_valid(buf.data, buf.len))
        return mr_config_fail(source, setting, err, -EINVAL, "%s is empty or no UTF-8 text", path);
    *ret = mr_buf_steal(&buf, NULL);
    return *ret ? 0 : mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
}
