/* A growing byte buffer with a hard maximum. A failed append leaves the contents as they were. */
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

struct mr_buf {
    char *data; /* always NUL-terminated once anything was appended; NULL before */
    size_t len; /* bytes, without the NUL */
    size_t cap;
    size_t max; /* bytes; len never exceeds it */
};

#define MR_BUF_INIT(limit) ((struct mr_buf){.max = (limit)})

void mr_buf_init(struct mr_buf *buf, size_t max);
void mr_buf_deinit(struct mr_buf *buf); /* frees; safe on a zeroed struct; usable with MR_CLEANUP */
void mr_buf_reset(struct mr_buf *buf);  /* len = 0, keeps the memory */

/* All appends: 0, -EMSGSIZE beyond max, -ENOMEM. */
int mr_buf_put(struct mr_buf *buf, const void *bytes, size_t n) MR_CHECK;
int mr_buf_puts(struct mr_buf *buf, const char *s) MR_CHECK;
int mr_buf_putc(struct mr_buf *buf, char c) MR_CHECK;
int mr_buf_printf(struct mr_buf *buf, const char *fmt, ...) MR_PRINTF(2, 3) MR_CHECK;

/* Makes room for n more bytes and returns where they go (then add to len yourself), or NULL. */
char *mr_buf_reserve(struct mr_buf *buf, size_t n) MR_CHECK;

/* Hands the memory (malloc'd, NUL-terminated, "" if empty) to the caller and empties the buffer.
 * NULL: no memory. */
char *mr_buf_steal(struct mr_buf *buf, size_t *ret_len) MR_CHECK;

/* Reads a whole file or descriptor; -EMSGSIZE when it holds more than max. err names the file. */
int mr_buf_read_file(struct mr_buf *buf, const char *path, struct mr_err *err) MR_CHECK;
int mr_buf_read_fd(struct mr_buf *buf, int fd, const char *name, struct mr_err *err) MR_CHECK;
