#include "common/custom.h"

#include "common/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BODY_MAX (1u << 20)
#define JSON_DEPTH 64
#define PATH_DEPTH 32

static void strv_free(struct mr_strv *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
}

struct mr_custom *mr_custom_free(struct mr_custom *custom)
{
    if (!custom)
        return NULL;
    char *strings[] = {custom->path, custom->key_header, custom->body, custom->text, custom->finish,
        custom->served_model, custom->input, custom->cached, custom->cache_write, custom->output,
        custom->error};
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
        free(strings[i]);
    strv_free(&custom->headers);
    strv_free(&custom->ok);
    strv_free(&custom->length);
    strv_free(&custom->refused);
    free(custom);
    return NULL;
}

enum mr_custom_slot mr_custom_next(const char **at, size_t *ret_n)
{
    static const struct {
        const char *word;
        enum mr_custom_slot slot;
    } slots[] = {{"{{model}}", MR_CUSTOM_MODEL}, {"{{system}}", MR_CUSTOM_SYSTEM},
        {"{{user}}", MR_CUSTOM_USER}, {"{{max_tokens}}", MR_CUSTOM_MAX_TOKENS},
        {"{{schema}}", MR_CUSTOM_SCHEMA}};
    const char *open = strstr(*at, "{{");
    if (!open) {
        *ret_n = strlen(*at);
        *at += *ret_n;
        return MR_CUSTOM_END;
    }
    *ret_n = (size_t)(open - *at);
    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        size_t n = strlen(slots[i].word);
        if (strncmp(open, slots[i].word, n) == 0) {
            *at = open + n;
            return slots[i].slot;
        }
    }
    *at = open + 2;
    return MR_CUSTOM_UNKNOWN;
}

/* One part of a path: a key (n bytes at key) or an item. */
struct part {
    const char *key;
    size_t n;
    bool item, all;
    size_t index;
};

/* Reads the part that begins here; first: nothing stands before it. Moves *at behind it. */
static int read_part(const char **at, bool first, struct part *ret)
{
    const char *p = *at;
    *ret = (struct part){.item = *p == '['};
    if (ret->item) {
        char *end = (char *)p + 2;
        ret->all = p[1] == '*';
        if (!ret->all && !isdigit((unsigned char)p[1]))
            return -EINVAL;
        if (!ret->all)
            ret->index = strtoul(p + 1, &end, 10);
        if (*end != ']')
            return -EINVAL;
        *at = end + 1;
        return 0;
    }
    if (!first && *p++ != '.')
        return -EINVAL;
    ret->key = p;
    ret->n = strcspn(p, ".[");
    *at = p + ret->n;
    return ret->n > 0 ? 0 : -EINVAL;
}

static int check_path(const char *path)
{
    struct part part;
    bool first = true;
    int depth = 0;
    while (*path) {
        if (read_part(&path, first, &part) < 0 || ++depth > PATH_DEPTH)
            return -EINVAL;
        first = false;
    }
    return first ? -EINVAL : 0;
}

static const json_t *key_of(const json_t *object, const struct part *part)
{
    char key[256];
    if (part->n >= sizeof(key))
        return NULL;
    memcpy(key, part->key, part->n);
    key[part->n] = '\0';
    return json_object_get(object, key);
}

static void walk(
    const json_t *value, const char *path, bool first, mr_custom_found *found, void *ctx)
{
    struct part part;
    while (value && *path) {
        if (read_part(&path, first, &part) < 0)
            return;
        first = false;
        if (part.all) {
            const json_t *item;
            size_t i;
            json_array_foreach((json_t *)value, i, item) walk(item, path, false, found, ctx);
            return;
        }
        value = part.item ? json_array_get(value, part.index) : key_of(value, &part);
    }
    if (value)
        found(ctx, value);
}

void mr_custom_walk(const json_t *root, const char *path, mr_custom_found *found, void *ctx)
{
    if (path && *path)
        walk(root, path, true, found, ctx);
}

static void keep_first(void *ctx, const json_t *value)
{
    const json_t **first = ctx;
    if (!*first)
        *first = value;
}

const json_t *mr_custom_first(const json_t *root, const char *path)
{
    const json_t *first = NULL;
    mr_custom_walk(root, path, keep_first, &first);
    return first;
}

/* ---- checking ---- */

#define FAIL(err, ...) mr_err_set(err, -EINVAL, MR_CLASS_INVALID, __VA_ARGS__)

/* Fills the template in with short values and sees whether that is JSON. */
static int check_body(const char *body, struct mr_err *err)
{
    static const char *const samples[] = {[MR_CUSTOM_MODEL] = "\"m\"",
        [MR_CUSTOM_SYSTEM] = "\"s\"",
        [MR_CUSTOM_USER] = "\"u\"",
        [MR_CUSTOM_MAX_TOKENS] = "1",
        [MR_CUSTOM_SCHEMA] = "{}"};
    struct mr_buf text MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(BODY_MAX);
    json_t *value MR_CLEANUP(mr_json_decrefp) = NULL;
    enum mr_custom_slot slot;
    unsigned seen = 0;
    int rc;
    do {
        const char *before = body;
        size_t n;
        slot = mr_custom_next(&body, &n);
        if (slot == MR_CUSTOM_UNKNOWN)
            return FAIL(err,
                "body: \"%.40s\" is none of {{model}}, {{system}}, {{user}}, {{max_tokens}}, "
                "{{schema}}",
                before + n);
        seen |= 1u << slot;
        rc = mr_buf_put(&text, before, n);
        if (rc == 0 && slot != MR_CUSTOM_END)
            rc = mr_buf_puts(&text, samples[slot]);
    } while (rc == 0 && slot != MR_CUSTOM_END);
    if (rc < 0)
        return FAIL(err, "body: is too long");
    if (!(seen & 1u << MR_CUSTOM_USER) || !(seen & 1u << MR_CUSTOM_MAX_TOKENS))
        return FAIL(err, "body: must hold {{user}} and {{max_tokens}}");
    if (mr_json_parse(text.data, text.len, JSON_DEPTH, &value, err) < 0)
        return mr_err_prefix(err, -EINVAL,
            "body: is no JSON once its {{...}}, which bring their own quotes, are filled in");
    return json_is_object(value) ? 0 : FAIL(err, "body: must be a JSON object");
}

static int check_paths(const struct mr_custom *custom, struct mr_err *err)
{
    const struct {
        const char *name, *path;
    } paths[] = {{"text", custom->text}, {"finish", custom->finish},
        {"served_model", custom->served_model}, {"input", custom->input},
        {"cached", custom->cached}, {"cache_write", custom->cache_write},
        {"output", custom->output}, {"error", custom->error}};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (paths[i].path && check_path(paths[i].path) < 0)
            return FAIL(err, "%s: \"%s\" is no path; write it like choices[0].message.content",
                paths[i].name, paths[i].path);
    return 0;
}

/* What curl and the codec say of the body themselves. */
static int check_reserved(const char *line, struct mr_err *err)
{
    static const char *const ours[] = {
        "content-type", "content-length", "transfer-encoding", "host", "connection", "expect"};

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (strcspn(line, ":") == strlen(ours[i]) &&
            strncasecmp(line, ours[i], strlen(ours[i])) == 0)
            return FAIL(err, "headers: '%s' is not yours to set", ours[i]);
    return 0;
}

/* A header's name, a colon, and what may stand in a header. */
static bool good_header(const char *line)
{
    size_t n = strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    if (n == 0 || line[n] != ':')
        return false;
    for (; *line; line++)
        if ((unsigned char)*line < 0x20 || *line == 0x7f)
            return false;
    return true;
}

static int check_url_path(const char *path, struct mr_err *err)
{
    enum mr_custom_slot slot;
    size_t n;
    if (*path && *path != '/')
        return FAIL(err, "path: must begin with /");
    if (strpbrk(path, "# "))
        return FAIL(err, "path: must not hold a blank or a fragment");
    do
        slot = mr_custom_next(&path, &n);
    while (slot == MR_CUSTOM_MODEL);
    return slot == MR_CUSTOM_END ? 0 : FAIL(err, "path: may hold no {{...}} but {{model}}");
}

static int check_headers(const struct mr_custom *custom, struct mr_err *err)
{
    int rc = 0;

    if (custom->headers.count > MR_CUSTOM_HEADERS_MAX)
        return FAIL(err, "headers: more than %d", MR_CUSTOM_HEADERS_MAX);
    for (size_t i = 0; rc == 0 && i < custom->headers.count; i++) {
        if (!good_header(custom->headers.items[i]))
            return FAIL(err, "headers: \"%s\" is not \"Name: value\"", custom->headers.items[i]);
        rc = check_reserved(custom->headers.items[i], err);
    }
    return rc;
}

int mr_custom_check(const struct mr_custom *custom, struct mr_err *err)
{
    if (!custom->body)
        return FAIL(err, "body: is missing");
    if (!custom->text)
        return FAIL(err, "text: is missing");
    int rc = check_body(custom->body, err);
    if (rc == 0)
        rc = check_paths(custom, err);
    if (rc == 0 && custom->path)
        rc = check_url_path(custom->path, err);
    if (rc < 0)
        return rc;
    if (custom->finish && custom->ok.count == 0)
        return FAIL(err, "ok: the words of finish for a good answer are missing");
    if (!custom->input != !custom->output)
        return FAIL(err, "input and output go together");
    if (!custom->finish && custom->ok.count + custom->length.count + custom->refused.count > 0)
        return FAIL(err, "finish: is missing: ok, length and refused have nothing to read");
    rc = check_headers(custom, err);
    if (rc < 0)
        return rc;
    if (custom->key_header && !good_header(custom->key_header))
        return FAIL(err, "key_header: must be like \"api-key: \"");
    return 0;
}
