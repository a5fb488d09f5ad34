/* What enqueue reads: whole documents and lines, from files and pipes, never more than a limit. */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* Waits until fd has something to read. 0, or negative to stop reading. */
typedef int mr_input_wait(void *ctx, int fd);

struct mr_input {
    int fd;
    const char *name; /* for messages; "-" is called "standard input" by its opener */
    mr_input_wait *wait;
    void *ctx;
    struct mr_buf buf; /* lines: what was read and not yet handed out, from pos on */
    size_t pos;
    bool eof;
    int64_t line;  /* number of the line handed out last */
    int64_t bytes; /* read in all */
    int64_t size;  /* of a regular file, else -1 */
};

/* Opens a file, or standard input for "-". Directories are refused. 0 or negative with err. */
int mr_input_open(const char *path, mr_input_wait *wait, void *ctx, struct mr_input *ret,
    struct mr_err *err) MR_CHECK;
void mr_input_close(struct mr_input *input);

/* Reads everything into buf, whose max is the limit. A regular file that is larger is refused by
 * its size alone, unread. 0; -EMSGSIZE; -ENODATA when it is empty; or what wait said; with err. */
int mr_input_all(struct mr_input *input, struct mr_buf *buf, struct mr_err *err) MR_CHECK;

/* The next line without its newline (and, of the first one, without a UTF-8 byte order mark), valid
 * until the next call. 1; 0 at the end; -EMSGSIZE with err for one longer than max (go on with the
 * next); anything else negative ends the reading. */
int mr_input_line(struct mr_input *input, size_t max, const char **ret_line, size_t *ret_n,
    struct mr_err *err) MR_CHECK;

/* The media type a document declares by its first bytes, else by its name, else text/plain for
 * UTF-8 and application/octet-stream for anything else. */
const char *mr_input_media_type(const char *name, const char *bytes, size_t n);
