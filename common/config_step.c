/* One step of a pipeline: what its table says, and the prompt, schema and model it names. */
#include "common/config_lists.h"
#include "common/embed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA_NAME_MAX 128

static int check_name(const struct mr_config_draft *draft, size_t i, struct mr_err *err)
{
    static const char *const taken[] = {"input", "metadata", "job"};
    const char *name = draft->steps[i].name;

    if (strchr(name, '.'))
        return MR_STEP_FAIL(draft, i, draft->groups[i], err, "a step's name must have no dot");
    for (size_t t = 0; t < sizeof(taken) / sizeof(taken[0]); t++)
        if (strcmp(taken[t], name) == 0)
            return MR_STEP_FAIL(
                draft, i, draft->groups[i], err, "prompts use this name for something else");
    for (size_t other = 0; other < i; other++)
        if (strcmp(draft->steps[other].name, name) == 0)
            return MR_STEP_FAIL(draft, i, draft->groups[i], err, "is there twice");
    return 0;
}

static int check_model(const struct mr_config_draft *draft, size_t i,
    const config_setting_t *setting, struct mr_err *err)
{
    const struct mr_step_def *step = &draft->steps[i];

    if (step->task || !mr_config_falls_to_local(draft->config, step->model))
        return 0;
    return MR_STEP_FAIL(draft, i, setting, err,
        "its model '%s' falls back on the local provider, which must know what to do: give the "
        "step a task, or a model whose fallback does not name it",
        step->model->alias);
}

static int read_model(struct mr_config_draft *draft, size_t i, struct mr_err *err)
{
    const config_setting_t *setting = config_setting_get_member(draft->groups[i], "model");
    const struct mr_config *config = draft->config;
    char hint[MR_NEAREST_LEN];

    if (!setting)
        return MR_STEP_FAIL(draft, i, draft->groups[i], err, "'model' is missing");
    const char *alias = config_setting_get_string(setting);
    if (!alias)
        return MR_STEP_FAIL(draft, i, setting, err, "model must be a string");
    draft->steps[i].model = mr_config_model(config, alias);
    if (draft->steps[i].model)
        return check_model(draft, i, setting, err);
    struct mr_nearest nearest = {.word = alias};
    for (size_t m = 0; m < config->nmodels; m++)
        mr_nearest_offer(&nearest, config->models[m].alias);
    return MR_STEP_FAIL(
        draft, i, setting, err, "unknown model '%.64s'%s", alias, mr_nearest_hint(&nearest, hint));
}

static int read_prompt(struct mr_config_draft *draft, size_t i, struct mr_err *err)
{
    const config_setting_t *setting = config_setting_get_member(draft->groups[i], "prompt_file");
    struct mr_step_def *step = &draft->steps[i];

    if (!setting && !step->prompt)
        return MR_STEP_FAIL(
            draft, i, draft->groups[i], err, "'prompt' or 'prompt_file' is missing");
    if (!setting)
        return 0;
    if (step->prompt)
        return MR_STEP_FAIL(draft, i, setting, err, "prompt and prompt_file exclude each other");
    const char *name = config_setting_get_string(setting);
    if (!name || !*name)
        return MR_STEP_FAIL(draft, i, setting, err, "prompt_file must be a file name");
    char *path = mr_config_path(draft->source->dir, name);
    if (!path)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    char *text = NULL;
    int rc = mr_config_read_file(draft->source, setting, path, &text, err);
    free(path);
    if (rc < 0)
        return rc;
    struct mr_rows rows = mr_config_step_rows();
    rc = mr_row_set(mr_rows_find(rows, "steps", "prompt"), step, text, NULL, err);
    free(text);
    return rc < 0 ? mr_config_locate(draft->source, setting, err, rc) : 0;
}

static int load_embedded_schema(
    struct mr_config_draft *draft, size_t i, const config_setting_t *setting, struct mr_err *err)
{
    struct mr_step_def *step = &draft->steps[i];
    char name[SCHEMA_NAME_MAX];

    snprintf(name, sizeof(name), "schemas/%s.schema.json", step->schema_name);
    const struct mr_embedded *file = mr_embedded_find(name);
    if (!file)
        return MR_STEP_FAIL(draft, i, setting, err,
            "there is no built-in schema '%s'; a file of your own goes by schema_file",
            step->schema_name);
    step->schema_text = strdup(file->text);
    return step->schema_text ? 0 : mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
}

static int read_schema(struct mr_config_draft *draft, size_t i, struct mr_err *err)
{
    struct mr_step_def *step = &draft->steps[i];
    const config_setting_t *group = draft->groups[i];

    if (!step->schema_name && !step->schema_file)
        return 0;
    if (step->schema_name && step->schema_file)
        return MR_STEP_FAIL(draft, i, group, err, "schema and schema_file exclude each other");
    const config_setting_t *setting =
        config_setting_get_member(group, step->schema_name ? "schema" : "schema_file");
    int rc = step->schema_name ? load_embedded_schema(draft, i, setting, err)
                               : mr_config_read_file(draft->source, setting, step->schema_file,
                                     &step->schema_text, err);
    if (rc < 0)
        return rc;
    rc = mr_schema_compile(step->schema_text, strlen(step->schema_text),
        step->schema_name ? step->schema_name : step->schema_file, &step->schema, err);
    return rc < 0 ? mr_config_locate(draft->source, setting, err, rc) : 0;
}

static int read_extract(struct mr_config_draft *draft, size_t i, struct mr_err *err)
{
    static const char *const chat_only[] = {
        "model", "prompt", "prompt_file", "task", "schema", "schema_file", "max_tokens", "cache"};
    struct mr_step_def *step = &draft->steps[i];

    for (size_t k = 0; k < sizeof(chat_only) / sizeof(chat_only[0]); k++) {
        const config_setting_t *setting = config_setting_get_member(draft->groups[i], chat_only[k]);
        if (setting)
            return MR_STEP_FAIL(
                draft, i, setting, err, "'%s' is for chat steps, this one extracts", chat_only[k]);
    }
    if (!config_setting_get_member(draft->groups[i], "timeout"))
        step->timeout_ms = draft->config->worker.extract_timeout_ms;
    if (step->on_error == MR_ON_ERROR_DEGRADE)
        return MR_STEP_FAIL(draft, i, draft->groups[i], err, "an extract step cannot degrade");
    return 0;
}

int mr_config_read_step(struct mr_config_draft *draft, size_t i, struct mr_err *err)
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
        return MR_STEP_FAIL(draft, i, draft->groups[i], err,
            "to degrade, the local provider must know what to do: give the step a task");
    rc = read_model(draft, i, err);
    if (rc == 0)
        rc = read_prompt(draft, i, err);
    return rc < 0 ? rc : read_schema(draft, i, err);
}
