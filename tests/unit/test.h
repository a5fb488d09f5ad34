/* A small TAP harness: every case runs in a child of its own with a time limit, so a crash fails
 * one case only. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void mr_test_fn(void);
struct mr_test {
    const char *name;
    mr_test_fn *fn;
};

/* A case that cannot run here: exit(MR_TEST_SKIP). */
#define MR_TEST_SKIP 77

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, #cond);                           \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
#define CHECK_INT(a, b)                                                                            \
    do {                                                                                           \
        long long check_a = (long long)(a), check_b = (long long)(b);                              \
        if (check_a != check_b) {                                                                  \
            fprintf(stderr, "# %s:%d: %s = %lld, not %lld\n", __FILE__, __LINE__, #a, check_a,     \
                check_b);                                                                          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
#define CHECK_STR(a, b)                                                                            \
    do {                                                                                           \
        const char *check_a = (a), *check_b = (b);                                                 \
        if (!check_a || !check_b || strcmp(check_a, check_b) != 0) {                               \
            fprintf(stderr, "# %s:%d: %s = \"%s\", not \"%s\"\n", __FILE__, __LINE__, #a,          \
                check_a ? check_a : "(null)", check_b ? check_b : "(null)");                       \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Runs every case in turn (or those whose name contains argv[1]), prints TAP, returns the exit
 * code. The child of each case runs in a fresh temporary directory, which is removed afterwards. */
int mr_test_main(int argc, char **argv, const struct mr_test *tests, size_t count);

#define TEST(fn)                                                                                   \
    {                                                                                              \
#fn, fn                                                                                    \
    }
#define TEST_MAIN(...)                                                                             \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        static const struct mr_test tests[] = {__VA_ARGS__};                                       \
        return mr_test_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));                  \
    }
