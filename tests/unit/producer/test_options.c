#include "producer/options.h"
#include "tests/unit/test.h"

#include <errno.h>

static const struct mr_option options[] = {
    {.name = "priority", .type = MR_OPT_INT, .arg = "N", .min = 1, .max = 10, .help = ""},
    {.name = "metadata", .letter = 'm', .type = MR_OPT_TEXT, .many = true, .arg = "KV", .help = ""},
    {.name = "wait", .letter = 'w', .type = MR_OPT_FLAG, .help = ""},
    {NULL},
};
static const struct mr_option more[] = {
    {.name = "output",
        .letter = 'o',
        .type = MR_OPT_CHOICE,
        .arg = "F",
        .choices = "table|json|ids",
        .help = ""},
    {.name = "timeout", .type = MR_OPT_DURATION, .arg = "D", .help = ""},
    {.name = "deadline", .type = MR_OPT_TIME, .arg = "T", .help = ""},
    {NULL},
};
static const struct mr_option *const tables[] = {options, more, NULL};

/* Parses words split at spaces. */
static int parse(const char *line, struct mr_args *ret, struct mr_err *err)
{
    static char words[512]; /* each case runs in a process of its own */
    char *argv[32], *rest = words;
    int argc = 0;
    snprintf(words, sizeof(words), "%s", line);
    while (rest && *rest)
        argv[argc++] = strsep(&rest, " ");
    return mr_args_parse(argc, argv, tables, ret, err);
}

static void refused(const char *line, const char *words)
{
    struct mr_args args;
    struct mr_err err;
    CHECK_INT(parse(line, &args, &err), -EINVAL);
    if (!strstr(err.msg, words))
        fprintf(stderr, "# \"%s\" does not say \"%s\"\n", err.msg, words);
    CHECK(strstr(err.msg, words));
}

static void reads_all_forms(void)
{
    struct mr_args args;
    struct mr_err err;
    CHECK_INT(parse("a --priority 7 -m k=v --metadata=x=y - -ojson -w -- --wait", &args, &err), 0);
    CHECK_INT(mr_args_number(&args, "priority", 0), 7);
    CHECK_STR(mr_args_nth(&args, "metadata", 0), "k=v");
    CHECK_STR(mr_args_nth(&args, "metadata", 1), "x=y");
    CHECK(!mr_args_nth(&args, "metadata", 2));
    CHECK_STR(mr_args_text(&args, "output", ""), "json");
    CHECK(mr_args_has(&args, "wait"));
    CHECK_INT(args.noperands, 3);
    CHECK_STR(args.operands[0], "a");
    CHECK_STR(args.operands[1], "-");
    CHECK_STR(args.operands[2], "--wait");
    mr_args_deinit(&args);
}

static void refuses_what_is_wrong(void)
{
    refused("--priorty 3", "did you mean --priority?");
    refused("--meta k=v", "did you mean --metadata?");
    refused("--zzz", "unknown option --zzz");
    refused("-x", "unknown option -x");
    refused("--priority 11", "from 1 to 10");
    refused("--priority 0", "from 1 to 10");
    refused("--priority 5x", "from 1 to 10");
    refused("--priority", "needs a value");
    refused("--priority 1 --priority 2", "twice");
    refused("--wait=yes", "takes no value");
    refused("-o xml", "must be one of table|json|ids");
    refused("-o tab", "must be one of");
    refused("-o table|json", "must be one of");
    refused("--timeout soon", "duration");
}

#define NOW 1795000000000ll /* 2026-11-18 */

static void time_refused(const char *text, int sign)
{
    struct mr_args args;
    struct mr_err err;
    char line[64];
    int64_t ms = 77;
    snprintf(line, sizeof(line), "--deadline %s", text);
    CHECK_INT(parse(line, &args, &err), 0);
    CHECK_INT(mr_args_time(&args, "deadline", NOW, sign, 0, &ms, &err), -EINVAL);
    CHECK(strstr(err.msg, "years 2000 to 2999"));
    CHECK_INT(ms, 77);
    mr_args_deinit(&args);
}

static void bounds_times(void)
{
    time_refused("99999999d", -1);
    time_refused("99999999d", 1);
    time_refused("9999d", -1);
    time_refused("99999999999999999999d", -1);
    time_refused("0000-01-01", 1);
    time_refused("1999-12-31T23:59:59.999Z", 1);
    time_refused("3000-01-01", 1);
}

static void reads_times(void)
{
    struct mr_args args;
    struct mr_err err;
    int64_t ms = 0;
    CHECK_INT(parse("--deadline 2h --timeout 1500ms", &args, &err), 0);
    CHECK_INT(mr_args_number(&args, "timeout", 0), 1500);
    CHECK_INT(mr_args_time(&args, "deadline", NOW, 1, 0, &ms, &err), 0);
    CHECK_INT(ms, NOW + 7200000);
    CHECK_INT(mr_args_time(&args, "deadline", NOW, -1, 0, &ms, &err), 0);
    CHECK_INT(ms, NOW - 7200000);
    mr_args_deinit(&args);
    CHECK_INT(parse("--deadline 2000-01-01T00:00:01Z", &args, &err), 0);
    CHECK_INT(mr_args_time(&args, "deadline", 5, 1, 0, &ms, &err), 0);
    CHECK_INT(ms, 946684801000);
    mr_args_deinit(&args);
    CHECK_INT(parse("--deadline tomorrow", &args, &err), 0);
    CHECK_INT(mr_args_time(&args, "deadline", 5, 1, 0, &ms, &err), -EINVAL);
    mr_args_deinit(&args);
    CHECK_INT(parse("", &args, &err), 0);
    CHECK_INT(mr_args_time(&args, "deadline", 5, 1, 77, &ms, &err), 0);
    CHECK_INT(ms, 77);
    mr_args_deinit(&args);
}

static void finds_the_nearest_word(void)
{
    static const char *const words[] = {"enqueue", "status", "results", "costs", NULL};
    CHECK_STR(mr_nearest("enqeue", words), "enqueue");
    CHECK_STR(mr_nearest("cots", words), "costs");
    CHECK_STR(mr_nearest("stauts", words), "status");
    CHECK_STR(mr_nearest("res", words), "results");
    CHECK(!mr_nearest("x", words));
    CHECK(!mr_nearest("", words));
    CHECK(!mr_nearest("a-word-that-is-much-longer-than-any-option-could-ever-be", words));
}

TEST_MAIN(TEST(reads_all_forms), TEST(refuses_what_is_wrong), TEST(reads_times), TEST(bounds_times),
    TEST(finds_the_nearest_word))
