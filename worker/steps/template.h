/* A step's prompt taken apart: its instructions, and the references that go out as messages of
 * their own. Internal to steps/. */
#pragma once

#include "common/buf.h"
#include "worker/steps/steps.h"

#define MR_PROMPT_MAX (16u << 20) /* bytes of one message */
#define MR_PROMPT_REFS_MAX (MR_CHAT_MESSAGES_MAX - 1)
#define MR_PROMPT_REF_MAX 200 /* bytes of a reference's name */

enum mr_ref_source {
    MR_REF_INPUT_TEXT,
    MR_REF_INPUT_NAME,
    MR_REF_METADATA,
    MR_REF_JOB_ID,
    MR_REF_JOB_TENANT,
    MR_REF_STEP,
};

/* One {{name|limit}}. A name used twice is sent once, at its larger limit. */
struct mr_prompt_ref {
    char name[MR_PROMPT_REF_MAX + 1];
    enum mr_ref_source source;
    size_t step;       /* MR_REF_STEP: index in the pipeline */
    const char *field; /* MR_REF_STEP, MR_REF_METADATA: the rest of name */
    size_t limit;      /* characters; 0 = all */
};

/* Holds pointers into itself: not to be copied. */
struct mr_prompt {
    struct mr_prompt_ref refs[MR_PROMPT_REFS_MAX];
    size_t nrefs;
    struct mr_buf text; /* the instructions, [name] in place of each value */
    size_t words;       /* bytes of instruction besides references and white space */
};

/* Parses the prompt of a pipeline's step into *ret, which the caller deinits also on error. 0,
 * -EINVAL, -ENOMEM. */
int mr_prompt_parse(const struct mr_pipeline *pipeline, size_t step, struct mr_prompt *ret,
    struct mr_err *err) MR_CHECK;
void mr_prompt_deinit(struct mr_prompt *prompt);

/* mr_buf_put with the errors of a prompt. */
int mr_prompt_put(struct mr_buf *buf, const void *bytes, size_t n, struct mr_err *err) MR_CHECK;
