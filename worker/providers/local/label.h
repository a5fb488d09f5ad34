/* One label for a whole document, by rules. Internal to providers/local. */
#pragma once

#include "common/buf.h"
#include "worker/providers/local/text.h"

/* Appends the answer of the tasks "class" and "sentiment": the label that fits best among those the
 * schema's enum offers, wrapped as the schema asks; without a schema the bare label. 0, -EINVAL
 * with err when the schema offers no labels, -ENOMEM, -EMSGSIZE. */
int mr_label_class(const struct mr_local_text *text, const char *schema, struct mr_buf *buf,
    struct mr_err *err) MR_CHECK;
int mr_label_sentiment(const struct mr_local_text *text, const char *schema, struct mr_buf *buf,
    struct mr_err *err) MR_CHECK;
