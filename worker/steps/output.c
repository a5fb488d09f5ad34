#include "common/json.h"
#include "common/schema.h"
#include "worker/steps/steps.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define TEXT_CHARS_MAX 50000
#define JSON_DEPTH_MAX 32

struct span {
    const char *at;
    size_t len;
};

static struct span trim(struct span s)
{
    while (s.len > 0 && isspace((unsigned char)s.at[0])) {
        s.at++;
        s.len--;
    }
    while (s.len > 0 && isspace((unsigned char)s.at[s.len - 1]))
        s.len--;
    return s;
}

/* Takes the ``` or ```json fence off that models like to put around JSON. */
static struct span unfence(struct span s)
{
    if (s.len < 6 || memcmp(s.at, "```", 3) != 0 || memcmp(s.at + s.len - 3, "```", 3) != 0)
        return s;
    struct span inner = {s.at + 3, s.len - 6};
    if (inner.len >= 4 && strncasecmp(inner.at, "json", 4) == 0) {
        inner.at += 4;
        inner.len -= 4;
    }
    return trim(inner);
}

static int json_output(
    const struct mr_step_def *step, struct span text, json_t **ret, struct mr_err *err)
{
    struct span body = unfence(text);
    json_t *value MR_CLEANUP(mr_json_decrefp) = NULL;
    if (mr_json_parse(body.at, body.len, JSON_DEPTH_MAX, &value, err) < 0) {
        if (err)
            err->class = MR_CLASS_BAD_OUTPUT;
        return mr_err_prefix(err, MR_BAD_OUTPUT, "the answer is not JSON");
    }
    if (step->schema && mr_schema_validate(step->schema, body.at, body.len, err) < 0) {
        if (err)
            err->class = MR_CLASS_BAD_OUTPUT;
        return mr_err_prefix(err, MR_BAD_OUTPUT, "the answer fails the schema");
    }
    *ret = json_incref(value);
    return 0;
}

static int text_output(struct span text, json_t **ret, struct mr_err *err)
{
    if (!mr_utf8_valid(text.at, text.len))
        return mr_err_set(err, MR_BAD_OUTPUT, MR_CLASS_BAD_OUTPUT, "the answer is not UTF-8");
    size_t keep = mr_utf8_prefix_chars(text.at, text.len, TEXT_CHARS_MAX);
    bool cut = keep < text.len;
    json_t *output = json_pack("{s:s%}", "text", text.at, keep);
    if (!output || (cut && json_object_set_new(output, "truncated", json_true()) != 0)) {
        json_decref(output);
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory for an answer");
    }
    *ret = output;
    return 0;
}

int mr_chat_output(const struct mr_step_def *step, const struct mr_answer *answer, json_t **ret,
    struct mr_err *err)
{
    struct span text = trim((struct span){answer->text ? answer->text : "", answer->len});
    if (text.len == 0)
        return mr_err_set(err, MR_BAD_OUTPUT, MR_CLASS_BAD_OUTPUT, "the answer is empty");
    return step->schema_text ? json_output(step, text, ret, err) : text_output(text, ret, err);
}
