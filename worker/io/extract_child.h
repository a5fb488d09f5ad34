/* One millrace-extract process and the document it reads. Used by extractor.c alone. */
#pragma once

#include "common/buf.h"

#include <jansson.h>
#include <uv.h>

struct mr_child_spec {
    const char *program;
    const char *bytes; /* the document; copied before mr_child_new returns */
    size_t n;
    const char *ext, *type, *charset; /* hints; anything but plain names is left out */
    int64_t max_bytes, max_text, timeout_ms;
    int memory_mb;
};

struct mr_child_result {
    int rc; /* as struct mr_extract_result */
    struct mr_err err;
    json_t *output; /* owned by the callee */
};

struct mr_child;
typedef void mr_child_done(void *ctx, struct mr_child_result *result);

/* 0, and done is called once later, when the process and its pipes are gone; or -1 with err. The
 * child frees itself behind done. */
int mr_child_new(uv_loop_t *loop, const struct mr_child_spec *spec, mr_child_done *done, void *ctx,
    struct mr_child **ret, struct mr_err *err) MR_CHECK;

/* Done will come soon, with whatever result. */
void mr_child_kill(struct mr_child *child);

/* Reads what a child said on stdout. 0 with *ret, or -1 when it is not what the contract
 * (extract/extract.h) says. */
int mr_child_read_output(
    const char *bytes, size_t n, int64_t max_text, json_t **ret, struct mr_err *err) MR_CHECK;
