#include "producer/estimate_texts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WIDE "\xf0\x9f\x93\x84" /* a character as long as they come */
#define TOKEN_BYTES 128         /* the longest token of the known vocabularies */
#define ANSWER_CHARS 50000      /* an answer is cut there */
#define URL_BYTES 20000         /* of text: an article */

static char *repeat(const char *unit, size_t bytes, size_t *ret_len)
{
    size_t n = strlen(unit), len = bytes / n * n;
    char *text = malloc(len + 1);
    if (!text)
        return NULL;
    for (size_t i = 0; i < len; i += n)
        memcpy(text + i, unit, n);
    text[len] = '\0';
    *ret_len = len;
    return text;
}

static json_t *filler(bool worst, int64_t bytes)
{
    size_t len = 0;
    char *text = repeat(worst ? WIDE : "x", bytes > 0 ? (size_t)bytes : 0, &len);
    json_t *json = text ? json_stringn(text, len) : NULL;
    free(text);
    return json;
}

/* The text extraction will find in a document, or a stand-in of its size. */
static json_t *document(
    const struct mr_config *config, const struct mr_envelope *envelope, bool worst)
{
    const int64_t most = config->worker.extract_max_text;
    const char *media = envelope->input_media_type ? envelope->input_media_type : "";
    if (envelope->input_kind == MR_INPUT_TEXT)
        return json_stringn(envelope->input, envelope->input_len);
    if (worst)
        return filler(true, most);
    int64_t bytes = envelope->input_kind == MR_INPUT_URL ? URL_BYTES
                    : strstr(media, "pdf")               ? (int64_t)envelope->input_len / 10
                                                         : (int64_t)envelope->input_len;
    return filler(false, bytes < most ? bytes : most);
}

static json_t *answer(const struct mr_step_def *step, bool worst)
{
    int64_t bytes = worst ? (int64_t)step->max_tokens * TOKEN_BYTES : (int64_t)step->max_tokens * 2;
    const int64_t most = ANSWER_CHARS * (worst ? (int64_t)sizeof(WIDE) - 1 : 1);
    return filler(worst, bytes < most ? bytes : most);
}

/* Whatever field of this step's output a later prompt names: "{{step.field" gives it one. */
static int add_fields(json_t *output, const struct mr_pipeline *pipeline,
    const struct mr_step_def *step, json_t *value)
{
    char field[256];
    size_t n = strlen(step->name);
    for (size_t i = 0; i < pipeline->nsteps; i++) {
        const char *at = pipeline->steps[i].prompt;
        while (at && (at = strstr(at, "{{"))) {
            at += 2 + strspn(at + 2, " ");
            size_t len = 0;
            if (strncmp(at, step->name, n) == 0 && at[n] == '.')
                len = strcspn(at += n + 1, "|} ");
            if (len == 0 || len >= sizeof(field))
                continue;
            memcpy(field, at, len);
            field[len] = '\0';
            if (json_object_set(output, field, value) < 0)
                return -ENOMEM;
        }
    }
    return 0;
}

int mr_estimate_outputs(const struct mr_config *config, const struct mr_pipeline *pipeline,
    const struct mr_envelope *envelope, bool worst, json_t **ret)
{
    int r = 0;
    for (size_t i = 0; i < pipeline->nsteps && r == 0; i++) {
        const struct mr_step_def *step = &pipeline->steps[i];
        MR_CLEANUP(mr_json_decrefp)
        json_t *value =
            step->kind == MR_STEP_EXTRACT ? document(config, envelope, worst) : answer(step, worst);
        ret[i] = json_object();
        r = value && ret[i] ? add_fields(ret[i], pipeline, step, value) : -ENOMEM;
    }
    return r;
}
