/* Secrets: read from a file or a named environment variable, never from config text, wiped when
 * freed. A distinct type, so that no formatter or log call takes one by accident. */
#pragma once

#include "common/err.h"

#include <stddef.h>

struct mr_secret; /* opaque; owns its bytes */

/* Reads the first line of the file. The file must be regular, at most 64 KiB, owned by us or root,
 * and closed to group and others (mode & 077 == 0), or root-owned and read-only as container
 * secrets are; below /run/secrets it may be anybody's and readable, but not writable, to others.
 * Otherwise -EACCES with the mend in err ("chmod 600 ..."). */
int mr_secret_from_file(const char *path, struct mr_secret **ret, struct mr_err *err) MR_CHECK;

/* -ENOENT with err when the variable is unset or empty. */
int mr_secret_from_env(const char *name, struct mr_secret **ret, struct mr_err *err) MR_CHECK;

/* One or the other; neither given: *ret = NULL and 0. Both given: -EINVAL. */
int mr_secret_load(
    const char *file, const char *env, struct mr_secret **ret, struct mr_err *err) MR_CHECK;

/* Borrowed NUL-terminated text. Use at the very place it goes on the wire. */
const char *mr_secret_reveal(const struct mr_secret *secret);

struct mr_secret *mr_secret_free(struct mr_secret *secret); /* wipes; NULL is fine; returns NULL */
