/* What the sandbox must stop, tried from within. */
#include "tests/unit/test.h"
#include "worker/extract/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct mr_limits limits = {.memory_mb = 256, .cpu_s = 1};

/* Runs what in a locked child and returns its wait status. It exits 0 when it was refused. */
static int inside(int (*what)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        struct mr_err err;
        if (mr_sandbox_begin(&err) != 0 || mr_sandbox_lock(&limits, &err) != 0)
            _exit(98);
        _exit(what());
    }
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static int refused(bool succeeded)
{
    return succeeded ? 97 : 0;
}

static int read_file(void)
{
    return refused(open("/etc/passwd", O_RDONLY) >= 0);
}

static int write_file(void)
{
    return refused(open("/tmp/millrace-sandbox-test", O_CREAT | O_WRONLY, 0600) >= 0);
}

static int new_process(void)
{
    return refused(fork() >= 0);
}

static int network(void)
{
    return refused(socket(AF_INET, SOCK_STREAM, 0) >= 0);
}

static int send_signal(void)
{
    return refused(kill(1, 0) == 0);
}

static int raise_limits(void)
{
    unsigned long long all[2] = {~0ull, ~0ull};
    return refused(syscall(SYS_prlimit64, 0, 4 /* RLIMIT_CORE */, all, NULL) == 0);
}

static void test_refused(void)
{
    int (*const tries[])(void) = {
        read_file, write_file, new_process, network, send_signal, raise_limits};
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
        CHECK_INT(inside(tries[i]), 0);
}

static int execute(void)
{
    char *argv[] = {(char *)"true", NULL};
    execve("/bin/true", argv, argv + 1);
    return 97;
}

static int execute_at(void)
{
    char *argv[] = {(char *)"true", NULL};
    execveat(AT_FDCWD, "/bin/true", argv, argv + 1, 0);
    return 97;
}

static int trace(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    return 97;
}

static int read_memory(void)
{
    char byte;
    struct iovec local = {&byte, 1}, remote = {(void *)&limits, 1};
    return process_vm_readv(getppid(), &local, 1, &remote, 1, 0) < 0 ? 96 : 97;
}

static int change_root(void)
{
    return chroot("/") < 0 ? 96 : 97;
}

static int new_namespace(void)
{
    return syscall(SYS_unshare, 0x10000000) < 0 ? 96 : 97;
}

static void check_killed(int status, int signal)
{
    CHECK(WIFSIGNALED(status));
    CHECK_INT(WTERMSIG(status), signal);
}

static void test_killed(void)
{
    int (*const tries[])(void) = {
        execute, execute_at, trace, read_memory, change_root, new_namespace};
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
        check_killed(inside(tries[i]), SIGSYS);
}

#ifndef __SANITIZE_ADDRESS__
static int executable_memory(void)
{
    mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return 97;
}

static int much_memory(void)
{
    return refused(malloc(300u << 20) != NULL);
}

static void test_memory(void)
{
    check_killed(inside(executable_memory), SIGSYS);
    CHECK_INT(inside(much_memory), 0);
}
#else
static void test_memory(void)
{
}
#endif

static int spin(void)
{
    for (volatile unsigned i = 0;; i++)
        ;
    return 97;
}

static void test_cpu(void)
{
    int status = inside(spin);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL);
}

static int look_around(void)
{
    if (getenv("PATH") || fcntl(5, F_GETFD) != -1)
        return 95;
    return 0;
}

static void test_nothing_inherited(void)
{
    CHECK(dup2(0, 5) == 5);
    CHECK_INT(inside(look_around), 0);
}

/* The door left open for pdftotext leads to it alone. */
static int inside_exec(const char *program)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct mr_err err;
        int fd = open("/bin/true", O_PATH | O_CLOEXEC);
        if (mr_sandbox_begin(&err) != 0)
            _exit(98);
        fd = open("/bin/true", O_PATH | O_CLOEXEC);
        if (dup3(fd, MR_SANDBOX_EXE, O_CLOEXEC) < 0 || mr_sandbox_lock_exec(&limits, &err) != 0)
            _exit(98);
        char *argv[] = {(char *)"true", NULL};
        if (program) {
            int other = open(program, O_RDONLY | O_CLOEXEC);
            if (other >= 0 && dup2(other, MR_SANDBOX_EXE) >= 0)
                _exit(97);
            execveat(other, "", argv, argv + 1, AT_EMPTY_PATH);
            _exit(97);
        }
        execveat(MR_SANDBOX_EXE, "", argv, argv + 1, AT_EMPTY_PATH);
        _exit(97);
    }
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static void test_the_one_program(void)
{
    CHECK_INT(inside_exec(NULL), 0);
    check_killed(inside_exec("/bin/sh"), SIGSYS);
}

TEST_MAIN(TEST(test_refused), TEST(test_killed), TEST(test_memory), TEST(test_cpu),
    TEST(test_nothing_inherited), TEST(test_the_one_program))
