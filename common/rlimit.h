/* Limits the system sets a process. */
#pragma once

/* A socket is a file: the soft limit of 1,024 files is for programs that use select, so it becomes
 * the hard one. Where that is not allowed, the lower one stays. */
void mr_file_limit_raise(void);
