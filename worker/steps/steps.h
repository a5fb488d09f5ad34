/* What a chat step does before and after its call: rendering the prompt and reading the answer.
 * Pure. */
#pragma once

#include "worker/providers/chat.h"

/* What a template may refer to: {{extract.text}}, {{extract.text|8000}} (first 8,000 characters),
 * {{input.text}}, {{input.name}},
 * {{metadata.key}}, {{job.id}}, {{job.tenant}}. */
struct mr_step_input {
    const struct mr_pipeline *pipeline;
    const struct mr_step_def *step;
    const struct mr_envelope *envelope;
    json_t *const *outputs; /* by step index; NULL = not done (skipped) */
};

/* Renders the step's prompt. A reference is never spliced into the instructions: the instruction
 * text names it, and its value follows as a user message of its own, fenced as data. A prompt that
 * is nothing but one reference becomes just the user message. A reference to something absent is an
 * error unless its step was skipped (then it reads as empty). 0, -EINVAL, -ENOMEM; *ret is the
 * caller's. */
int mr_chat_render(
    const struct mr_step_input *input, struct mr_chat **ret, struct mr_err *err) MR_CHECK;

/* Checks a prompt's references when the configuration is loaded: they must parse and name earlier
 * steps. */
int mr_chat_check_prompt(
    const struct mr_pipeline *pipeline, size_t step, struct mr_err *err) MR_CHECK;

/* The same for every prompt of the configuration; err names pipeline and step. */
int mr_chat_check_prompts(const struct mr_config *config, struct mr_err *err) MR_CHECK;

/* Makes the step's output of an answer whose class is NONE: trimmed; empty = bad_output; over
 * 50,000 characters cut and "truncated": true; with a schema: parsed JSON (a ```json fence is taken
 * off) that conforms, else bad_output. 0 with *ret (caller's reference: {"text":...} or the JSON
 * value), or 1 = bad output with err, or negative. */
#define MR_BAD_OUTPUT 1
int mr_chat_output(const struct mr_step_def *step, const struct mr_answer *answer, json_t **ret,
    struct mr_err *err) MR_CHECK;
