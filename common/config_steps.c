/* The steps of a pipeline, put into an order in which they can run. */
#include "common/buf.h"
#include "common/config_lists.h"

#include <errno.h>
#include <string.h>

static int find_step(const struct mr_config_draft *draft, size_t i, const config_setting_t *setting,
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
    return MR_STEP_FAIL(draft, i, setting, err, "after names '%.64s', which is no step here%s",
        name, mr_nearest_hint(&nearest, hint));
}

static int read_after(struct mr_config_draft *draft, size_t i, struct mr_err *err)
{
    const config_setting_t *setting = config_setting_get_member(draft->groups[i], "after");
    uint32_t after = 0;

    if (!setting) {
        draft->steps[i].after = i > 0 ? UINT32_C(1) << (i - 1) : 0;
        return 0;
    }
    if (!config_setting_is_array(setting) && !config_setting_is_list(setting))
        return MR_STEP_FAIL(draft, i, setting, err, "after must be a list of step names");
    for (unsigned k = 0; k < (unsigned)config_setting_length(setting); k++) {
        const char *name = config_setting_get_string_elem(setting, (int)k);
        size_t s = 0;
        if (!name)
            return MR_STEP_FAIL(draft, i, setting, err, "after must be a list of step names");
        int rc = find_step(draft, i, setting, name, &s, err);
        if (rc < 0)
            return rc;
        after |= UINT32_C(1) << s;
    }
    draft->steps[i].after = after;
    return 0;
}

/* Names a cycle among the steps that are not placed: each of them waits for another such one. */
static int cycle_error(const struct mr_config_draft *draft, uint32_t placed, struct mr_err *err)
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
    const struct mr_config_draft *draft, size_t order[static MR_STEPS_MAX], struct mr_err *err)
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
    struct mr_pipeline *pipeline, const struct mr_config_draft *draft, const size_t *order)
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
    struct mr_config_draft draft = {.config = config, .pipeline = pipeline, .source = source};
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
        rc = mr_config_read_step(&draft, i, err);
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
