/* The texts that are not there before a job has run, as long as they may become. */
#pragma once

#include "common/config.h"
#include "common/envelope.h"
#include "common/json.h"

/* Stand-ins for the output of each step of the pipeline, with every field that prompts name: as
 * long as is likely, or the worst. ret has room for the steps; what is in it is the caller's also
 * after an error. 0 or -ENOMEM. */
int mr_estimate_outputs(const struct mr_config *config, const struct mr_pipeline *pipeline,
    const struct mr_envelope *envelope, bool worst, json_t **ret) MR_CHECK;
