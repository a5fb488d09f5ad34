/* Landlock: rules over files that an unprivileged process puts on itself (Linux 5.13 and later; not
 * enabled everywhere). Kernels without it are not an error: it is never the only wall. */
#pragma once

#include "common/err.h"

/* No file may be opened any more. */
int mr_landlock_nothing(struct mr_err *err) MR_CHECK;

/* Only the system's programs, libraries and their data, and the program at exe, may be read and
 * executed. */
int mr_landlock_programs(int exe, struct mr_err *err) MR_CHECK;
