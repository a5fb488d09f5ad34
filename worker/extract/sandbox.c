#include "worker/extract/sandbox.h"
#include "worker/extract/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define NOBODY 65534
#define NOFILE_MAX 64 /* less than MR_SANDBOX_EXE */

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN true
#endif
#endif
#ifndef WITH_ASAN
#define WITH_ASAN false
#endif

static int fail(struct mr_err *err, int code, const char *what)
{
    return mr_err_set(err, code, MR_CLASS_INTERNAL, "no sandbox: %s: %s", what, strerror(-code));
}

static int drop_root(struct mr_err *err)
{
    if (geteuid() != 0)
        return 0;
    if (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) != 0) {
        /* In a user namespace that knows no nobody, root has no power outside of it anyway. */
        if (errno == EINVAL || errno == EPERM)
            return 0;
        return fail(err, -errno, "becoming nobody");
    }
    return 0;
}

int mr_sandbox_begin(struct mr_err *err)
{
    if (clearenv() != 0)
        return fail(err, -ENOMEM, "clearenv");
    if (close_range(3, ~0u, 0) != 0 && errno != ENOSYS)
        return fail(err, -errno, "close_range");
    int rc = drop_root(err);
    if (rc != 0)
        return rc;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return fail(err, -errno, "PR_SET_PDEATHSIG");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail(err, -errno, "PR_SET_NO_NEW_PRIVS");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return fail(err, -errno, "PR_SET_DUMPABLE");
    return 0;
}

static int limit(int resource, rlim_t value, struct mr_err *err, const char *what)
{
    struct rlimit now, wanted = {value, value};
    if (getrlimit(resource, &now) == 0 && now.rlim_max < value)
        wanted = (struct rlimit){now.rlim_max, now.rlim_max}; /* already stricter */
    return setrlimit(resource, &wanted) == 0 ? 0 : fail(err, -errno, what);
}

/* A parser may write its answer even to a file; it holds less than its memory. */
static int set_limits(const struct mr_limits *limits, bool parser, struct mr_err *err)
{
    rlim_t memory = (rlim_t)limits->memory_mb << 20;
    int rc = limit(RLIMIT_CORE, 0, err, "RLIMIT_CORE");
    if (rc == 0)
        rc = limit(RLIMIT_CPU, (rlim_t)limits->cpu_s, err, "RLIMIT_CPU");
    if (rc == 0)
        rc = limit(RLIMIT_FSIZE, parser ? memory : 0, err, "RLIMIT_FSIZE");
    if (rc == 0)
        rc = limit(RLIMIT_NPROC, 0, err, "RLIMIT_NPROC");
    if (rc == 0)
        rc = limit(RLIMIT_NOFILE, NOFILE_MAX, err, "RLIMIT_NOFILE");
    if (rc == 0 && parser && !WITH_ASAN)
        rc = limit(RLIMIT_AS, memory, err, "RLIMIT_AS");
    return rc;
}

/* ---- system calls ---- */

/* What memory management, the C library and leaving need. Calls a machine lacks are passed over. */
static const char *const common_calls[] = {"read", "write", "writev", "close", "fstat", "lseek",
    "munmap", "mremap", "brk", "madvise", "exit", "exit_group", "rt_sigreturn", "rt_sigprocmask",
    "rt_sigaction", "sigreturn", "futex", "futex_time64", "clock_gettime", "clock_gettime64",
    "gettimeofday", "time", "getrandom", "sched_yield", "poll", "ppoll", "restart_syscall",
    "getpid", "gettid", "tgkill", "sigaltstack", "set_robust_list", "rseq"};

static const char *const parser_calls[] = {"wait4", "waitid"};

/* The dynamic loader and libc's start, then reading. */
static const char *const program_calls[] = {"pread64", "stat", "lstat", "newfstatat", "fstatat64",
    "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd",
    "set_tid_address", "arch_prctl", "set_thread_area", "set_tls", "getuid", "geteuid", "getgid",
    "getegid", "uname", "sysinfo", "sched_getaffinity", "getdents64", "fadvise64", "fadvise64_64",
    "dup", "getrlimit", "ugetrlimit", "riscv_hwprobe", "riscv_flush_icache"};

/* What libraries try and can do without: they are told no. */
static const char *const refused_calls[] = {"open", "openat", "openat2", "newfstatat", "fstatat64",
    "stat", "lstat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
    "ioctl", "fcntl", "prctl", "clone", "clone3", "sysinfo", "uname", "sched_getaffinity",
    "getrlimit", "getcwd", "getuid", "geteuid", "getgid", "getegid", "membarrier", "mlock",
    "socket", "connect", "kill"};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static int add_calls(
    scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int call = seccomp_syscall_resolve_name(names[i]);
        if (call == __NR_SCMP_ERROR)
            continue;
        int rc = seccomp_rule_add(filter, action, call, 0);
        if (rc != 0 && rc != -EEXIST && rc != -EDOM)
            return rc;
    }
    return 0;
}

/* Reading or changing limits is one call: only reading is let through. */
static int add_prlimit(scmp_filter_ctx filter)
{
    int rc =
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0));
    if (rc == 0)
        rc = seccomp_rule_add(
            filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_NE, 0));
    return rc;
}

/* Memory that is executable only where the dynamic loader still has to work. */
static int add_memory(scmp_filter_ctx filter, bool executable)
{
    static const char *const calls[] = {"mmap", "mmap2", "mprotect"};
    if (executable)
        return add_calls(filter, SCMP_ACT_ALLOW, calls, COUNT(calls));
    for (size_t i = 0; i < COUNT(calls); i++) {
        int call = seccomp_syscall_resolve_name(calls[i]);
        if (call == __NR_SCMP_ERROR)
            continue;
        int rc = seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (rc != 0 && rc != -EDOM)
            return rc;
    }
    return 0;
}

static int parser_filter(scmp_filter_ctx filter)
{
    int rc = add_memory(filter, WITH_ASAN);
    if (rc == 0)
        rc = add_calls(filter, SCMP_ACT_ALLOW, common_calls, COUNT(common_calls));
    if (rc == 0)
        rc = add_calls(filter, SCMP_ACT_ALLOW, parser_calls, COUNT(parser_calls));
    if (rc == 0)
        rc = add_prlimit(filter);
    if (rc == 0)
        rc = add_calls(filter, SCMP_ACT_ERRNO(EACCES), refused_calls, COUNT(refused_calls));
    return rc;
}

static int program_filter(scmp_filter_ctx filter)
{
    static const char *const refused[] = {"ioctl", "prctl", "clone", "clone3", "membarrier",
        "mlock", "open", "openat2", "unlink", "unlinkat", "mkdir"};
    const uint64_t writing = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND;
    int rc = add_memory(filter, true);
    if (rc == 0)
        rc = add_calls(filter, SCMP_ACT_ALLOW, common_calls, COUNT(common_calls));
    if (rc == 0)
        rc = add_calls(filter, SCMP_ACT_ALLOW, program_calls, COUNT(program_calls));
    if (rc == 0)
        rc = add_prlimit(filter);
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
            SCMP_A2(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
    if (rc == 0)
        rc = seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, F_GETFL));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(execveat), 2,
            SCMP_A0(SCMP_CMP_EQ, MR_SANDBOX_EXE), SCMP_A4(SCMP_CMP_EQ, AT_EMPTY_PATH));
    if (rc == 0)
        rc = add_calls(filter, SCMP_ACT_ERRNO(EACCES), refused, COUNT(refused));
    return rc;
}

static int load(int (*fill)(scmp_filter_ctx), struct mr_err *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return fail(err, -ENOMEM, "seccomp");
    int rc = fill(filter);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc == 0 ? 0 : fail(err, rc, "seccomp");
}

int mr_sandbox_lock(const struct mr_limits *limits, struct mr_err *err)
{
    int rc = set_limits(limits, true, err);
    if (rc == 0)
        rc = mr_landlock_nothing(err);
    return rc == 0 ? load(parser_filter, err) : rc;
}

int mr_sandbox_lock_exec(const struct mr_limits *limits, struct mr_err *err)
{
    /* The memory limit comes last: an AddressSanitizer build could not load a filter under it. */
    int rc = set_limits(limits, false, err);
    if (rc == 0)
        rc = mr_landlock_programs(MR_SANDBOX_EXE, err);
    if (rc == 0 && !WITH_ASAN)
        rc = limit(RLIMIT_AS, (rlim_t)limits->memory_mb << 20, err, "RLIMIT_AS");
    return rc == 0 ? load(program_filter, err) : rc;
}
