#include "tests/unit/test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_SECONDS 60

static int run_case(const struct mr_test *test)
{
    char dir[] = "/tmp/millrace-test-XXXXXX";
    if (!mkdtemp(dir))
        return -1;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (chdir(dir) != 0)
            _exit(99);
        alarm(TEST_SECONDS * (getenv("MILLRACE_TEST_SLOW") ? 10 : 1));
        test->fn();
        exit(0); /* not _exit: LeakSanitizer reports at exit */
    }
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        status = -1;
    pid_t rm = fork();
    if (rm == 0) {
        execlp("rm", "rm", "-rf", dir, (char *)NULL);
        _exit(99);
    }
    waitpid(rm, NULL, 0);
    return status;
}

int mr_test_main(int argc, char **argv, const struct mr_test *tests, size_t count)
{
    int failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        if (argc > 1 && !strstr(tests[i].name, argv[1])) {
            printf("ok %zu - %s # SKIP not selected\n", i + 1, tests[i].name);
            continue;
        }
        int status = run_case(&tests[i]);
        bool skipped = WIFEXITED(status) && WEXITSTATUS(status) == MR_TEST_SKIP;
        bool ok = status == 0 || skipped;
        failed += !ok;
        printf("%s %zu - %s%s\n", ok ? "ok" : "not ok", i + 1, tests[i].name,
            skipped ? " # SKIP" : "");
        if (status > 0 && WIFSIGNALED(status))
            printf("# killed by signal %d\n", WTERMSIG(status));
    }
    return failed != 0;
}
