#include "worker/providers/wire.h"

#include "common/custom.h"
#include "common/json.h"
#include "common/secret.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WORDS_MAX 400 /* bytes of a provider's message that are kept */

/* A key that a provider or proxy repeats in its error text must not reach a log or a row. */
static void blot_out_key(char *text, const struct mr_endpoint *endpoint)
{
    const char *key = endpoint && endpoint->key ? mr_secret_reveal(endpoint->key) : "";
    size_t n = strlen(key);
    if (n < 4)
        return;
    for (char *p = text; (p = strstr(p, key)); p += n)
        memset(p, '*', n);
}

void mr_wire_fail(struct mr_answer *answer, const struct mr_request *request, enum mr_class class,
    const char *fmt, ...)
{
    char text[2 * MR_ERR_MAX]; /* blotted before it is cut, so that no half of a key remains */
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    blot_out_key(text, request->endpoint);
    struct mr_err err;
    (void)mr_err_set(&err, 0, class, "%s", text);
    answer->class = class;
    memcpy(answer->message, err.msg, sizeof(answer->message));
}

void mr_wire_text(
    struct mr_answer *answer, const struct mr_request *request, const char *text, size_t n)
{
    char *copy = malloc(n + 1);
    if (!copy) {
        mr_wire_fail(answer, request, MR_CLASS_INTERNAL, "out of memory");
        return;
    }
    size_t len = 0;
    for (size_t i = 0; i < n; i++) /* a NUL can neither be a C string nor be stored as jsonb */
        if (text[i] != '\0' && (len > 0 || !isspace((unsigned char)text[i])))
            copy[len++] = text[i];
    while (len > 0 && isspace((unsigned char)copy[len - 1]))
        len--;
    copy[len] = '\0';
    free(answer->text);
    answer->text = copy;
    answer->len = len;
    if (len == 0)
        mr_wire_fail(answer, request, MR_CLASS_BAD_OUTPUT, "the answer is empty");
}

void mr_wire_cut(struct mr_answer *answer, const struct mr_request *request)
{
    const struct mr_usage *usage = &answer->usage;
    int limit = request->chat ? request->chat->max_tokens : 0;
    if (!answer->usage_estimated && usage->reasoning > 0 && usage->reasoning * 2 > usage->output)
        mr_wire_fail(answer, request, MR_CLASS_BAD_OUTPUT,
            "the answer was cut off at its limit of %d tokens, %lld of them spent on reasoning; "
            "raise max_tokens or lower the effort",
            limit, (long long)usage->reasoning);
    else
        mr_wire_fail(answer, request, MR_CLASS_BAD_OUTPUT,
            "the answer was cut off at its limit of %d tokens; raise max_tokens", limit);
}

static bool is_page(const struct mr_reply *reply)
{
    if (strncasecmp(reply->content_type, "text/html", 9) == 0)
        return true;
    size_t i = 0;
    while (i < reply->body.len && isspace((unsigned char)reply->body.data[i]))
        i++;
    return i < reply->body.len && reply->body.data[i] == '<';
}

static const char *string_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* What a fault's strings point into besides the body. */
struct notes {
    char number[24];
    char words[WORDS_MAX + 1];
};

/* The provider's words: a string, or whatever JSON stands there (FastAPI's lists of what is wrong
 * with each field), as text. */
static const char *words_of(const json_t *value, struct notes *notes)
{
    if (json_is_string(value))
        return json_string_value(value);
    if (!json_is_object(value) && !json_is_array(value))
        return NULL;
    char *all = json_dumps(value, JSON_COMPACT);
    size_t n = all ? mr_utf8_prefix(all, strlen(all), sizeof(notes->words) - 1) : 0;
    if (n > 0)
        memcpy(notes->words, all, n);
    notes->words[n] = '\0';
    free(all);
    return n > 0 ? notes->words : NULL;
}

/* Providers write {error:{...}} (OpenAI, Anthropic, llama.cpp, new vLLM), {error:"text"} (Ollama,
 * vLLM's 401), {object:"error",message,...} (old vLLM, Mistral), [{error:{...}}] (Google),
 * {detail:...} or {message:...} (FastAPI and gateways). Returns whether there was an error at all.
 */
static bool read_error(const json_t *root, struct mr_fault *fault, struct notes *notes)
{
    const json_t *error = json_object_get(root, "error");
    if (json_is_string(error)) {
        fault->message = json_string_value(error);
        return true;
    }
    bool found = json_is_object(error);
    if (!found) {
        const char *object = string_of(root, "object");
        found = object && strcmp(object, "error") == 0;
        error = root;
    }
    fault->message = words_of(json_object_get(error, "message"), notes);
    if (!fault->message)
        fault->message = words_of(json_object_get(error, "detail"), notes);
    fault->type = string_of(error, "type");
    if (!fault->type)
        fault->type = string_of(error, "status");
    fault->detail = string_of(json_object_get(error, "details"), "error_code");
    const json_t *code = json_object_get(error, "code");
    fault->code = json_string_value(code);
    if (json_is_integer(code)) {
        snprintf(notes->number, sizeof(notes->number), "%" JSON_INTEGER_FORMAT,
            json_integer_value(code));
        fault->code = notes->number;
        /* An error object inside a 200: the number is the status it would have had. */
        json_int_t status = json_integer_value(code);
        if (fault->status < 300 && status >= 400 && status < 600)
            fault->status = (int)status;
    }
    return found;
}

/* Google puts the wait into the body: details[].retryDelay = "36.5s". */
static int64_t read_delay(const json_t *root)
{
    const json_t *detail;
    size_t i;
    json_array_foreach(json_object_get(json_object_get(root, "error"), "details"), i, detail)
    {
        const char *delay = string_of(detail, "retryDelay");
        char *end;
        double seconds = delay ? strtod(delay, &end) : -1;
        if (seconds > 0 && seconds < 86400 && strcmp(end, "s") == 0)
            return (int64_t)(seconds * 1000) + 1;
    }
    return -1;
}

static void describe(struct mr_answer *ret, const struct mr_request *request,
    const struct mr_fault *fault, const json_t *root)
{
    const char *kind = fault->code && !isdigit((unsigned char)fault->code[0]) ? fault->code
                       : fault->type                                          ? fault->type
                                                                              : "";
    const char *words = fault->message ? fault->message
                        : fault->page  ? "an HTML page, not the API, answered"
                                       : "no explanation given";
    int n = (int)mr_utf8_prefix(words, strlen(words), WORDS_MAX);
    enum mr_class class = mr_classify(fault);
    const char *hint = class == MR_CLASS_INVALID && mr_classify_too_long(fault)
                           ? " [shorten the text with {{...|N}}, or use a model that takes more]"
                           : "";
    mr_wire_fail(ret, request, class, "HTTP %d%s%.64s: %.*s%s", fault->status, kind[0] ? " " : "",
        kind, n, words, hint);
    ret->leave = mr_classify_leave(fault);
    ret->unsure = mr_classify_unsure(fault);
    if (class == MR_CLASS_BAD_OUTPUT) { /* the model did write: that is paid for */
        const char *text = string_of(json_object_get(root, "error"), "failed_generation");
        ret->billed = true;
        mr_wire_estimate(ret, request, text ? strlen(text) : 0);
    }
}

static void unreadable(struct mr_answer *ret, const struct mr_request *request,
    const struct mr_reply *reply, struct mr_fault *fault)
{
    fault->unreadable = true;
    if (reply->body.len == 0)
        mr_wire_fail(ret, request, mr_classify(fault), "HTTP %d with an empty body", reply->status);
    else
        mr_wire_fail(ret, request, mr_classify(fault), "HTTP %d, but %s (%zu bytes)", reply->status,
            fault->page ? "an HTML page answered, not the API" : "the body is not a JSON object",
            reply->body.len);
}

static void not_answered(
    struct mr_answer *ret, const struct mr_request *request, const struct mr_reply *reply)
{
    struct mr_fault fault = {.transport = reply->transport, .should_retry = -1};
    const char *what = reply->transport == MR_TRANSPORT_ABORTED ? "given up while it was running"
                       : reply->detail[0]                       ? reply->detail
                                                                : "the connection failed";
    mr_wire_fail(ret, request, mr_classify(&fault), "%s", what);
}

json_t *mr_wire_open(
    const struct mr_request *request, const struct mr_reply *reply, struct mr_answer *ret)
{
    return mr_wire_open_at(request, reply, NULL, ret);
}

json_t *mr_wire_open_at(const struct mr_request *request, const struct mr_reply *reply,
    const char *path, struct mr_answer *ret)
{
    /* "Retry-After: 0" is no advice: the usual back-off is kinder to a provider in trouble. */
    *ret = (struct mr_answer){
        .retry_after_ms = reply->retry_after_ms > 0 ? reply->retry_after_ms : -1};
    if (reply->transport != MR_TRANSPORT_OK) {
        not_answered(ret, request, reply);
        return NULL;
    }
    /* Lenient on purpose: an answer that was paid for is read if it can be read at all. */
    json_t *root = reply->body.len > 0
                       ? json_loadb(reply->body.data, reply->body.len, JSON_ALLOW_NUL, NULL)
                       : NULL;
    struct notes notes;
    struct mr_fault fault = {.transport = reply->transport,
        .status = reply->status,
        .page = !root && is_page(reply),
        .should_retry = reply->should_retry};
    json_t *first = json_is_array(root) ? json_array_get(root, 0) : root;
    bool error = json_is_object(first) && read_error(first, &fault, &notes);
    const char *words = json_string_value(mr_custom_first(root, path));
    if (words && words[0]) {
        error = true;
        fault.message = words;
    }
    bool good = reply->status >= 200 && reply->status < 300;
    if (good && !error && json_is_object(root))
        return root;
    if (good && !error)
        unreadable(ret, request, reply, &fault);
    else
        describe(ret, request, &fault, first);
    if (ret->retry_after_ms < 0 && fault.status == 429)
        ret->retry_after_ms = read_delay(first);
    json_decref(root);
    return NULL;
}
