#include "worker/steps/template.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

void mr_prompt_deinit(struct mr_prompt *prompt)
{
    mr_buf_deinit(&prompt->text);
}

/* Bit i: step i has certainly ended before this one starts. */
static uint32_t ended_before(const struct mr_pipeline *pipeline, size_t step)
{
    uint32_t before = pipeline->steps[step].after;
    for (size_t i = step; i-- > 0;)
        if (before & UINT32_C(1) << i)
            before |= pipeline->steps[i].after;
    return before;
}

static int find_step(
    const struct mr_pipeline *pipeline, size_t self, struct mr_prompt_ref *ref, struct mr_err *err)
{
    /* Step names may hold dots, field names may not. */
    char *dot = strrchr(ref->name, '.');
    size_t n = (size_t)(dot - ref->name);
    for (size_t i = 0; i < pipeline->nsteps; i++) {
        const char *name = pipeline->steps[i].name;
        if (strlen(name) != n || memcmp(name, ref->name, n) != 0)
            continue;
        if (i == self || !(ended_before(pipeline, self) & UINT32_C(1) << i))
            return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
                "{{%s}}: step %s does not wait for step %s; name it in `after`", ref->name,
                pipeline->steps[self].name, name);
        ref->source = MR_REF_STEP;
        ref->step = i;
        ref->field = dot + 1;
        return 0;
    }
    return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
        "{{%s}}: no earlier step is called \"%.*s\" (known besides steps: input.text, input.name, "
        "metadata.KEY, job.id, job.tenant)",
        ref->name, (int)n, ref->name);
}

static int resolve(
    const struct mr_pipeline *pipeline, size_t self, struct mr_prompt_ref *ref, struct mr_err *err)
{
    static const struct {
        const char *name;
        enum mr_ref_source source;
    } fixed[] = {{"input.text", MR_REF_INPUT_TEXT}, {"input.name", MR_REF_INPUT_NAME},
        {"job.id", MR_REF_JOB_ID}, {"job.tenant", MR_REF_JOB_TENANT}};
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (strcmp(ref->name, fixed[i].name) == 0) {
            ref->source = fixed[i].source;
            return 0;
        }
    if (strncmp(ref->name, "metadata.", 9) == 0 && ref->name[9]) {
        ref->source = MR_REF_METADATA;
        ref->field = ref->name + 9;
        return 0;
    }
    const char *dot = strrchr(ref->name, '.');
    if (!dot || dot == ref->name || !dot[1])
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "{{%s}} is no reference; write STEP.FIELD, such as {{extract.text}}", ref->name);
    return find_step(pipeline, self, ref, err);
}

static int parse_limit(const char *s, size_t n, size_t *ret, struct mr_err *err)
{
    size_t limit = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)s[i]) || limit > 100000000)
            n = 0;
        else
            limit = limit * 10 + (size_t)(s[i] - '0');
    }
    if (n == 0 || limit == 0)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "what follows | in a reference is a number of characters, from 1 up");
    *ret = limit;
    return 0;
}

static void strip(const char **s, size_t *n)
{
    while (*n > 0 && isspace((unsigned char)**s)) {
        ++*s;
        --*n;
    }
    while (*n > 0 && isspace((unsigned char)(*s)[*n - 1]))
        --*n;
}

static int parse_ref(const char *s, size_t n, struct mr_prompt_ref *ret, struct mr_err *err)
{
    const char *bar = memchr(s, '|', n);
    size_t limit = 0, name_len = bar ? (size_t)(bar - s) : n;
    if (bar) {
        const char *digits = bar + 1;
        size_t ndigits = n - name_len - 1;
        strip(&digits, &ndigits);
        if (parse_limit(digits, ndigits, &limit, err) < 0)
            return -EINVAL;
    }
    strip(&s, &name_len);
    if (name_len == 0 || name_len > MR_PROMPT_REF_MAX)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "a reference {{...}} is %s",
            name_len == 0 ? "empty" : "too long");
    *ret = (struct mr_prompt_ref){.limit = limit};
    memcpy(ret->name, s, name_len);
    return 0;
}

static int add_ref(struct mr_prompt *prompt, const struct mr_pipeline *pipeline, size_t self,
    const struct mr_prompt_ref *ref, struct mr_err *err)
{
    for (size_t i = 0; i < prompt->nrefs; i++) {
        struct mr_prompt_ref *old = &prompt->refs[i];
        if (strcmp(old->name, ref->name) != 0)
            continue;
        if (old->limit != 0 && (ref->limit == 0 || ref->limit > old->limit))
            old->limit = ref->limit;
        return 0;
    }
    if (prompt->nrefs == MR_PROMPT_REFS_MAX)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "a prompt may hold at most %d different references", MR_PROMPT_REFS_MAX);
    prompt->refs[prompt->nrefs] = *ref; /* first, since field points into the entry's own name */
    int rc = resolve(pipeline, self, &prompt->refs[prompt->nrefs], err);
    if (rc == 0)
        prompt->nrefs++;
    return rc;
}

int mr_prompt_put(struct mr_buf *buf, const void *bytes, size_t n, struct mr_err *err)
{
    int rc = mr_buf_put(buf, bytes, n);
    if (rc == -EMSGSIZE)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "the prompt is larger than %u MiB",
            MR_PROMPT_MAX >> 20);
    return rc == 0 ? 0 : mr_err_set(err, rc, MR_CLASS_INTERNAL, "out of memory for a prompt");
}

/* Takes in the reference whose braces open at s; *ret_end is where it ends. */
static int take_ref(struct mr_prompt *prompt, const struct mr_pipeline *pipeline, size_t self,
    const char *s, const char **ret_end, struct mr_err *err)
{
    const char *close = strstr(s, "}}");
    if (!close)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "{{ without }}: %.40s", s);
    struct mr_prompt_ref ref;
    int rc = parse_ref(s + 2, (size_t)(close - s - 2), &ref, err);
    if (rc == 0)
        rc = add_ref(prompt, pipeline, self, &ref, err);
    if (rc == 0)
        rc = mr_prompt_put(&prompt->text, "[", 1, err);
    if (rc == 0)
        rc = mr_prompt_put(&prompt->text, ref.name, strlen(ref.name), err);
    if (rc == 0)
        rc = mr_prompt_put(&prompt->text, "]", 1, err);
    *ret_end = close + 2;
    return rc;
}

int mr_prompt_parse(
    const struct mr_pipeline *pipeline, size_t step, struct mr_prompt *ret, struct mr_err *err)
{
    const char *s = pipeline->steps[step].prompt;
    *ret = (struct mr_prompt){.text = MR_BUF_INIT(MR_PROMPT_MAX)};
    while (s && *s) {
        const char *open = strstr(s, "{{");
        size_t n = open ? (size_t)(open - s) : strlen(s);
        for (size_t i = 0; i < n; i++)
            ret->words += !isspace((unsigned char)s[i]);
        int rc = mr_prompt_put(&ret->text, s, n, err);
        if (rc == 0 && open)
            rc = take_ref(ret, pipeline, step, open, &s, err);
        if (rc < 0)
            return rc;
        if (!open)
            break;
    }
    if (ret->nrefs == 0 && ret->words == 0)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "the prompt is empty");
    return 0;
}

int mr_chat_check_prompt(const struct mr_pipeline *pipeline, size_t step, struct mr_err *err)
{
    struct mr_prompt prompt MR_CLEANUP(mr_prompt_deinit);
    return mr_prompt_parse(pipeline, step, &prompt, err);
}

int mr_chat_check_prompts(const struct mr_config *config, struct mr_err *err)
{
    for (size_t p = 0; p < config->npipelines; p++) {
        const struct mr_pipeline *pipeline = &config->pipelines[p];
        for (size_t s = 0; s < pipeline->nsteps; s++) {
            if (pipeline->steps[s].kind != MR_STEP_CHAT)
                continue;
            int r = mr_chat_check_prompt(pipeline, s, err);
            if (r < 0)
                return mr_err_prefix(err, r, "pipeline \"%s\", step \"%s\"", pipeline->name,
                    pipeline->steps[s].name);
        }
    }
    return 0;
}
