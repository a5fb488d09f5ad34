/* The steps of a pipeline: each read by its table, then put into an order in which they can run. */
#include "common/buf.h"
#include "common/config_row.h"
#include "common/embed.h"
#include "common/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA_NAME_MAX 128

/* All steps in the order they are written in. */
struct draft {
    const struct mr_config *config;
    const struct mr_pipeline *pipeline;
    const struct mr_config_source *source;
    const config_setting_t *groups[MR_STEPS_MAX];
    struct mr_step_def steps[MR_STEPS_MAX];
    size_t count;
};

/* err = "file:line: pipeline 'p', step 's': text" */
#define STEP_FAIL(draft, i, setting, err, fmt, ...)                                                \
    mr_config_fail((draft)->source, setting, err, -EINVAL, "pipeline '%s', step '%s': " fmt,       \
        (draft)->pipeline->name, (draft)->steps[i].name __VA_OPT__(, ) __VA_ARGS__)

static int check_name(const struct draft *draft, size_t i, struct mr_err *err)
{
    static const char *const taken[] = {"input", "metadata", "job"};
    const char *name = draft->steps[i].name;

    if (strchr(name, '.'))
        return STEP_FAIL(draft, i, draft->groups[i], err, "a step's name must have no dot");
    for (size_t t = 0; t < sizeof(taken) / sizeof(taken[0]); t++)
        if (strcmp(taken[t], name) == 0)
            return STEP_FAIL(
                draft, i, draft->groups[i], err, "prompts use this name for something else");
    for (size_t other = 0; other < i; other++)
        if (strcmp(draft->steps[other].name, name) == 0)
            return STEP_FAIL(draft, i, draft->groups[i], err, "is there twice");
    return 0;
}

static int read_model(struct draft *draft, size_t i, struct mr_err *err)
{
    const config_setting_t *setting = config_setting_get_member(draft->groups[i], "model");
    const struct mr_config *config = draft->config;
    char hint[MR_NEAREST_LEN];

    if (!setting)
        return STEP_FAIL(draft, i, draft->groups[i], err, "'model' is missing");
    const char *alias = config_setting_get_string(setting);
    if (!alias)
        return STEP_FAIL(draft, i, setting, err, "model must be a string");
    draft->steps[i].model = mr_config_model(config, alias);
    if (draft->steps[i].model)
        return 0;
    struct mr_nearest nearest = {.word = alias};
    for (size_t m = 0; m < config->nmodels; m++)
        mr_nearest_offer(&nearest, config->models[m].alias);
    return STEP_FAIL(
        draft, i, setting, err, "unknown model '%.64s'%s", alias, mr_nearest_hint(&nearest, hint));
}

/* A whole text file named by a step; errors get the step's place. */
static int read_file(const struct draft *draft, const config_setting_t *setting, const char *path,
    char **ret, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_deinit) struct mr_buf buf = MR_BUF_INIT(MR_CONFIG_FILE_MAX);

    int rc = mr_buf_read_file(&buf, path, err);
    if (rc < 0)
        return mr_config_locate(draft->source, setting, err, rc);
    if (buf.len == 0 || memchr(buf.data, '\0', buf.len) || !mr_utf8_valid(buf.data, buf.len))
        return mr_config_fail(
            draft->source, setting, err, -EINVAL, "%s is empty or no UTF-8 text", path);
    *ret = mr_buf_steal(&buf, NULL);
    return *ret ? 0 : mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
}

static int read_prompt(struct draft *draft, size_t i, struct mr_err *err)
{
    const config_setting_t *setting = config_setting_get_member(draft->groups[i], "prompt_file");
    struct mr_step_def *step = &draft->steps[i];

    if (!setting && !step->prompt)
        return STEP_FAIL(draft, i, draft->groups[i], err, "'prompt' or 'prompt_file' is missing");
    if (!setting)
        return 0;
    if (step->prompt)
        return STEP_FAIL(draft, i, setting, err, "prompt and prompt_file exclude each other");
    const char *name = config_setting_get_string(setting);
    if (!name || !*name)
        return STEP_FAIL(draft, i, setting, err, "prompt_file must be a file name");
    char *path = mr_config_path(draft->source->dir, name);
    if (!path)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    char *text = NULL;
    int rc = read_file(draft, setting, path, &text, err);
    free(path);
    if (rc < 0)
        return rc;
    struct mr_rows rows = mr_config_step_rows();
    rc = mr_row_set(mr_rows_find(rows, "steps", "prompt"), step, text, NULL, err);
    free(text);
    return rc < 0 ? mr_config_locate(draft->source, setting, err, rc) : 0;
}

static int load_embedded_schema(
    struct draft *draft, size_t i, const config_setting_t *setting, struct mr_err *err)
{
    struct mr_step_def *step = &draft->steps[i];
    char name[SCHEMA_NAME_MAX];

    snprintf(name, sizeof(name), "schemas/%s.schema.json", step->schema_name);
    const struct mr_embedded *file = mr_embedded_find(name);
    if (!file)
        return STEP_FAIL(draft, i, setting, err,
            "there is no built-in schema '%s'; a file of your own goes by schema_file",
            step->schema_name);
    step->schema_text = strdup(file->text);
    return step->schema_text ? 0 : mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
}

static int read_schema(struct draft *draft, size_t i, struct mr_err *err)
{
    struct mr_step_def *step = &draft->steps[i];
    const config_setting_t *group = draft->groups[i];

    if (!step->schema_name && !step->schema_file)
        return 0;
    if (step->schema_name && step->schema_file)
        return STEP_FAIL(draft, i, group, err, "schema and schema_file exclude each other");
    const config_setting_t *setting =
        config_setting_get_member(group, step->schema_name ? "schema" : "schema_file");
    int rc = step->schema_name
                 ? load_embedded_schema(draft, i, setting, err)
                 : read_file(draft, setting, step->schema_file, &step->schema_text, err);
    if (rc < 0)
        return rc;
    rc = mr_schema_compile(step->schema_text, strlen(step->schema_text),
        step->schema_name ? step->schema_name : step->schema_file, &step->schema, err);
    return rc < 0 ? mr_config_locate(draft->source, setting, err, rc) : 0;
}

static int read_extract(struct draft *draft, size_t i, struct mr_err *err)
{
    static const char *const chat_only[] = {
        "model", "prompt", "prompt_file", "task", "schema", "schema_file", "max_tokens"};
    struct mr_step_def *step = &draft->steps[i];

    for (size_t k = 0; k < sizeof(chat_only) / sizeof(chat_only[0]); k++) {
        const config_setting_t *setting = config_setting_get_member(draft->groups[i], chat_only[k]);
        if (setting)
            return STEP_FAIL(
                draft, i, setting, err, "'%s' is for chat steps, this one extracts", chat_only[k]);
    }
    if (!config_setting_get_member(draft->groups[i], "timeout"))
        step->timeout_ms = draft->config->worker.extract_timeout_ms;
    if (step->on_error == MR_ON_ERROR_DEGRADE)
        return STEP_FAIL(draft, i, draft->groups[i], err, "an extract step cannot degrade");
    return 0;
}

static int read_step(struct draft *draft, size_t i, struct mr_err *err)
{
    struct mr_step_def *step = &draft->steps[i];
    struct mr_rows rows = mr_config_step_rows();

    int rc = mr_rows_default(rows, step, err);
    if (rc == 0)
        rc = mr_rows_read(rows, "steps", step, draft->groups[i], draft->source, err);
    if (rc == 0)
        rc = check_name(draft, i, err);
    if (rc < 0)
        return rc;
    if (step->kind == MR_STEP_EXTRACT)
        return read_extract(draft, i, err);
    if (step->on_error == MR_ON_ERROR_DEGRADE && !step->task)
        return STEP_FAIL(draft, i, draft->groups[i], err,
            "to degrade, the local provider must know what to do: give the step a task");
    rc = read_model(draft, i, err);
    if (rc == 0)
        rc = read_prompt(draft, i, err);
    return rc < 0 ? rc : read_schema(draft, i, err);
}

static int find_step(const struct draft *draft, size_t i, const config_setting_t *setting,
    const char *name, size_t *ret, struct mr_err *err)
{
    struct mr_nearest nearest = {.word = name};
    char hint[MR_NEAREST_LEN];

    for (size_t s = 0; s < draft->count; s++) {
        if (strcmp(draft->steps[s].name, name) == 0) {
            *ret = s;
            return 0;
        }
        mr_nearest_offer(&nearest, draft->steps[s].name);
    }
    return STEP_FAIL(draft, i, setting, err, "after names '%.64s', which is no step here%s", name,
        mr_nearest_hint(&nearest, hint));
}

static int read_after(struct draft *draft, size_t i, struct mr_err *err)
{
    const config_setting_t *setting = config_setting_get_member(draft->groups[i], "after");
    uint32_t after = 0;

    if (!setting) {
        draft->steps[i].after = i > 0 ? UINT32_C(1) << (i - 1) : 0;
        return 0;
    }
    if (!config_setting_is_array(setting) && !config_setting_is_list(setting))
        return STEP_FAIL(draft, i, setting, err, "after must be a list of step names");
    for (unsigned k = 0; k < (unsigned)config_setting_length(setting); k++) {
        const char *name = config_setting_get_string_elem(setting, (int)k);
        size_t s = 0;
        if (!name)
            return STEP_FAIL(draft, i, setting, err, "after must be a list of step names");
        int rc = find_step(draft, i, setting, name, &s, err);
        if (rc < 0)
            return rc;
        after |= UINT32_C(1) << s;
    }
    draft->steps[i].after = after;
    return 0;
}

/* Names a cycle among the steps that are not placed: each of them waits for another such one. */
static int cycle_error(const struct draft *draft, uint32_t placed, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_deinit) struct mr_buf text = MR_BUF_INIT(MR_ERR_MAX);
    uint32_t seen = 0;
    size_t step = (size_t)__builtin_ctz(~placed), first;

    for (; !(seen & UINT32_C(1) << step); step = first) {
        seen |= UINT32_C(1) << step;
        first = (size_t)__builtin_ctz(draft->steps[step].after & ~placed);
    }
    first = step;
    bool fits = true;
    do {
        fits = fits && mr_buf_printf(&text, "%s -> ", draft->steps[step].name) == 0;
        step = (size_t)__builtin_ctz(draft->steps[step].after & ~placed);
    } while (step != first);
    return mr_config_fail(draft->source, draft->groups[first], err, -EINVAL,
        "pipeline '%s': steps wait for each other in a circle: %s%s", draft->pipeline->name,
        text.data ? text.data : "", fits ? draft->steps[first].name : "...");
}

/* Written order as far as possible; every step behind all that it waits for. */
static int sort_steps(
    const struct draft *draft, size_t order[static MR_STEPS_MAX], struct mr_err *err)
{
    uint32_t placed = 0;

    for (size_t n = 0; n < draft->count; n++) {
        size_t i = 0;
        while (
            i < draft->count && ((placed & UINT32_C(1) << i) || (draft->steps[i].after & ~placed)))
            i++;
        if (i == draft->count)
            return cycle_error(draft, placed, err);
        placed |= UINT32_C(1) << i;
        order[n] = i;
    }
    return 0;
}

static void place_steps(
    struct mr_pipeline *pipeline, const struct draft *draft, const size_t *order)
{
    size_t place[MR_STEPS_MAX];

    for (size_t n = 0; n < draft->count; n++)
        place[order[n]] = n;
    for (size_t n = 0; n < draft->count; n++) {
        struct mr_step_def *step = &pipeline->steps[n];
        uint32_t after = 0;
        *step = draft->steps[order[n]];
        for (size_t i = 0; i < draft->count; i++)
            if (step->after & UINT32_C(1) << i)
                after |= UINT32_C(1) << place[i];
        step->after = after;
    }
}

int mr_config_read_steps(const struct mr_config *config, struct mr_pipeline *pipeline,
    const config_setting_t *group, const struct mr_config_source *source, struct mr_err *err)
{
    struct draft draft = {.config = config, .pipeline = pipeline, .source = source};
    size_t order[MR_STEPS_MAX] = {0};
    const config_setting_t *list;

    int rc = mr_config_group_list(source, group, "steps", &list, err);
    if (rc < 0)
        return rc;
    int length = config_setting_length(list);
    if (length < 1 || length > MR_STEPS_MAX)
        return mr_config_fail(source, list, err, -EINVAL,
            "pipeline '%s': must have 1 to %d steps, not %d", pipeline->name, MR_STEPS_MAX, length);
    while (rc == 0 && draft.count < (size_t)length) {
        size_t i = draft.count++;
        draft.groups[i] = config_setting_get_elem(list, (unsigned)i);
        rc = read_step(&draft, i, err);
    }
    for (size_t i = 0; rc == 0 && i < draft.count; i++)
        rc = read_after(&draft, i, err);
    if (rc == 0)
        rc = sort_steps(&draft, order, err);
    /* Also after an error the steps belong to the pipeline, which frees them. */
    for (size_t i = 0; rc < 0 && i < draft.count; i++)
        order[i] = i;
    place_steps(pipeline, &draft, order);
    pipeline->nsteps = draft.count;
    return rc;
}
