/* Extractive summaries. Internal to providers/local. */
#pragma once

#include "common/buf.h"
#include "worker/providers/local/text.h"

#define MR_SUMMARY_SENTENCES 5

/* Appends the most telling sentences (at most 5, about a quarter of them) in their own order, at
 * most max_bytes of them. Nothing is appended for a text without words. 0, -ENOMEM, -EMSGSIZE. */
int mr_summary_write(
    const struct mr_local_text *text, size_t max_bytes, struct mr_buf *buf) MR_CHECK;
