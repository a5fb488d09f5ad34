/* Documents to text: mr_extractor_ops.
 *
 * Text that needs no parser (inline text; bytes or a fetched body that are valid UTF-8 and called
 * plain text or Markdown) is taken over in the worker itself. Everything else is parsed by
 * millrace-extract, one sandboxed process per document, at most worker.extract_processes at once,
 * first come, first served. A child gets its document as a memory file and its words come back on
 * pipes; what it says is checked as if a stranger said it, for a hostile document may be speaking.
 * It is killed when its time is up, together with what it started. */
#pragma once

#include "worker/engine/engine.h"

#include <uv.h>

struct mr_extractor;

/* program: path of millrace-extract; NULL: beside this executable, or in ../libexec/millrace from
 * it. config is copied from. 0, or negative with err (no program found). */
int mr_extractor_new(uv_loop_t *loop, const struct mr_config_worker *config, const char *program,
    struct mr_extractor **ret, struct mr_err *err) MR_CHECK;
struct mr_extractor_ops mr_extractor_ops(struct mr_extractor *extractor);
void mr_extractor_start(struct mr_extractor *extractor, struct mr_engine *engine);

/* Documents started from now on follow the new configuration. */
int mr_extractor_reload(struct mr_extractor *extractor, const struct mr_config_worker *config,
    struct mr_err *err) MR_CHECK;

/* Kills what runs, without a report, then calls closed. mr_extractor_free after that; it takes NULL
 * and returns NULL. */
void mr_extractor_close(struct mr_extractor *extractor, void (*closed)(void *ctx), void *ctx);
struct mr_extractor *mr_extractor_free(struct mr_extractor *extractor);
