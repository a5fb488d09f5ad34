/* The walls around a parser: resource limits, no privileges, no files, no network, no new
 * processes, and a list of system calls beyond which the kernel kills. Nothing here can be undone.
 *
 * Every document is parsed behind all of them. Landlock is an additional wall where the kernel has
 * it. For pdftotext, a program of its own, the list must let the dynamic loader open files for
 * reading; what it may read is limited by Landlock to the system's libraries and data, and by the
 * file modes: a sandbox that was started by root goes on as nobody. */
#pragma once

#include "common/err.h"

struct mr_limits {
    int memory_mb; /* address space; not enforced in builds with AddressSanitizer */
    int cpu_s;
};

/* First thing in main: no environment, no inherited descriptors beyond 0-2, dies with its parent,
 * no new privileges, no core dumps, unreadable by debuggers, nobody instead of root. 0 or negative
 * with err. */
int mr_sandbox_begin(struct mr_err *err) MR_CHECK;

/* Shuts the sandbox: from here on only memory and the descriptors already open. */
int mr_sandbox_lock(const struct mr_limits *limits, struct mr_err *err) MR_CHECK;

/* The same for a program to be executed: descriptor MR_SANDBOX_EXE must be open on it, and
 * execveat(MR_SANDBOX_EXE, "", ..., AT_EMPTY_PATH) is the only way to execute anything. Since the
 * number lies beyond RLIMIT_NOFILE, nothing else can ever be put there. */
#define MR_SANDBOX_EXE 200
int mr_sandbox_lock_exec(const struct mr_limits *limits, struct mr_err *err) MR_CHECK;
