/* A provider described in the configuration: body by template, answers by paths. */
#include "worker/providers/wire.h"

#include "common/custom.h"
#include "common/json.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static const struct mr_custom *custom_of(const struct mr_request *request)
{
    return request->endpoint->provider->custom;
}

static bool has_slot(const char *template, enum mr_custom_slot wanted)
{
    enum mr_custom_slot slot;
    size_t n;
    do
        slot = mr_custom_next(&template, &n);
    while (slot != wanted && slot != MR_CUSTOM_END);
    return slot == wanted;
}

/* Where the template has no place for them, instructions go before the user's text, and the schema
 * into the instructions. */
static int put_texts(
    struct mr_buf *buf, const struct mr_chat *chat, const char *template, enum mr_custom_slot slot)
{
    bool apart = has_slot(template, MR_CUSTOM_SYSTEM);
    bool tell = chat->schema_text && !has_slot(template, MR_CUSTOM_SCHEMA);
    char *more = tell ? mr_wire_instruction(chat) : NULL;
    int rc = tell && !more ? -ENOMEM : 0;
    if (rc == 0 && slot == MR_CUSTOM_SYSTEM)
        rc = mr_wire_messages(buf, chat, MR_ROLE_SYSTEM, more);
    else if (rc == 0 && apart)
        rc = mr_wire_messages(buf, chat, MR_ROLE_USER, NULL);
    else if (rc == 0)
        rc = mr_wire_all(buf, chat, more);
    free(more);
    return rc;
}

static int put_slot(
    struct mr_buf *buf, const struct mr_chat *chat, const char *template, enum mr_custom_slot slot)
{
    switch (slot) {
    case MR_CUSTOM_MODEL:
        return mr_wire_string(buf, chat->model->model, strlen(chat->model->model));
    case MR_CUSTOM_SYSTEM:
    case MR_CUSTOM_USER:
        return put_texts(buf, chat, template, slot);
    case MR_CUSTOM_MAX_TOKENS:
        return mr_buf_printf(buf, "%d", chat->max_tokens);
    case MR_CUSTOM_SCHEMA:
        return mr_buf_puts(buf, chat->schema_text ? chat->schema_text : "null");
    case MR_CUSTOM_END:
    case MR_CUSTOM_UNKNOWN:
        break;
    }
    return 0;
}

static int put_body(struct mr_buf *buf, const struct mr_chat *chat, const char *template)
{
    const char *at = template;
    enum mr_custom_slot slot;
    int rc;
    do {
        const char *before = at;
        size_t n;
        slot = mr_custom_next(&at, &n);
        rc = mr_buf_put(buf, before, n);
        if (rc == 0)
            rc = put_slot(buf, chat, template, slot);
    } while (rc == 0 && slot != MR_CUSTOM_END);
    return rc;
}

/* The path behind base_url, the model's name in it as URLs want it. */
static int put_path(struct mr_buf *buf, const char *path, const char *model)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    enum mr_custom_slot slot;
    int rc = mr_buf_puts(buf, "");
    do {
        const char *before = path;
        size_t n;
        slot = mr_custom_next(&path, &n);
        if (rc == 0)
            rc = mr_buf_put(buf, before, n);
        for (const char *p = model; slot == MR_CUSTOM_MODEL && *p && rc == 0; p++)
            rc = strchr(plain, *p) ? mr_buf_putc(buf, *p)
                                   : mr_buf_printf(buf, "%%%02X", (unsigned)(unsigned char)*p);
    } while (rc == 0 && slot != MR_CUSTOM_END);
    return rc;
}

static int encode(const struct mr_endpoint *endpoint, struct mr_chat *chat, int64_t timeout_ms,
    struct mr_request *ret, struct mr_err *err)
{
    const struct mr_custom *custom = endpoint->provider->custom;
    struct mr_request request = mr_wire_begin(endpoint, chat, MR_AUTH_CUSTOM, timeout_ms);
    struct mr_buf path MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(4096);
    int rc = put_body(&request.body, chat, custom->body);
    for (size_t i = 0; rc == 0 && i < custom->headers.count && i < MR_CUSTOM_HEADERS_MAX; i++)
        if (!(request.headers[i] = strdup(custom->headers.items[i])))
            rc = -ENOMEM;
    if (rc == 0)
        rc = put_path(&path, custom->path ? custom->path : "", chat->model->model);
    return mr_wire_end(&request, rc == 0 ? path.data : "", rc, ret, err);
}

static int64_t count_at(const json_t *root, const char *path)
{
    return mr_wire_number(mr_custom_first(root, path));
}

static void read_usage(const json_t *root, const struct mr_custom *custom, struct mr_answer *ret,
    const struct mr_request *request, size_t text_len)
{
    int64_t input = count_at(root, custom->input), output = count_at(root, custom->output);
    int64_t cached = count_at(root, custom->cached), written = count_at(root, custom->cache_write);
    if (input < 0 || output < 0) {
        mr_wire_estimate(ret, request, text_len);
        return;
    }
    cached = cached < 0 ? 0 : cached;
    written = written < 0 ? 0 : written;
    if (custom->usage_inclusive && cached + written > input) {
        cached = written = 0;
        ret->usage_estimated = true;
    }
    ret->usage =
        (struct mr_usage){.input = custom->usage_inclusive ? input - cached - written : input,
            .cached = cached,
            .cache_write = written,
            .output = output};
}

static bool lists(const struct mr_strv *words, const char *word)
{
    for (size_t i = 0; i < words->count; i++)
        if (strcasecmp(words->items[i], word) == 0)
            return true;
    return false;
}

static void judge_finish(
    struct mr_answer *ret, const struct mr_request *request, const struct mr_custom *custom)
{
    const char *finish = ret->finish_reason;
    if (!custom->finish || !finish[0] || lists(&custom->ok, finish))
        return;
    if (lists(&custom->length, finish))
        mr_wire_cut(ret, request);
    else if (lists(&custom->refused, finish))
        mr_wire_fail(ret, request, MR_CLASS_REFUSED, "refused: the answer ended with %s", finish);
    else
        mr_wire_fail(ret, request, MR_CLASS_BAD_OUTPUT, "the answer ended with %s", finish);
}

struct joined {
    struct mr_buf text;
    int rc;
};

/* Strings as they are; an object or array, for those who answer in JSON itself, as its text. */
static void join(void *ctx, const json_t *value)
{
    struct joined *joined = ctx;
    if (joined->rc != 0)
        return;
    if (json_is_string(value))
        joined->rc = mr_buf_put(&joined->text, json_string_value(value), json_string_length(value));
    else if (json_is_object(value) || json_is_array(value))
        joined->rc = mr_json_dump(value, &joined->text);
}

static void decode(
    const struct mr_request *request, const struct mr_reply *reply, struct mr_answer *ret)
{
    const struct mr_custom *custom = custom_of(request);
    json_t *root MR_CLEANUP(mr_json_decrefp) = mr_wire_open_at(request, reply, custom->error, ret);
    if (!root)
        return;
    struct joined joined = {.text = MR_BUF_INIT(MR_REPLY_MAX)};
    mr_custom_walk(root, custom->text, join, &joined);
    ret->billed = true;
    mr_wire_served(ret, mr_custom_first(root, custom->served_model), NULL);
    mr_wire_copy(
        ret->finish_reason, sizeof(ret->finish_reason), mr_custom_first(root, custom->finish));
    read_usage(root, custom, ret, request, joined.text.len);
    judge_finish(ret, request, custom);
    if (ret->class == MR_CLASS_NONE && joined.rc != 0)
        mr_wire_fail(ret, request, MR_CLASS_INTERNAL, "no memory for an answer");
    else if (ret->class == MR_CLASS_NONE)
        mr_wire_text(ret, request, joined.text.data ? joined.text.data : "", joined.text.len);
    mr_buf_deinit(&joined.text);
}

const struct mr_codec mr_codec_custom = {.name = "custom", .encode = encode, .decode = decode};
