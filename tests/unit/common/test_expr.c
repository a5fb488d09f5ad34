#include "common/buf.h"
#include "common/expr.h"

#include "tests/unit/test.h"

#include <errno.h>

static const struct mr_expr_vars *some_vars(void)
{
    static struct mr_expr_vars vars = {
        .prompt_bytes = 4001,
        .max_tokens = 512,
        .priority = 5,
        .tenant = "acme",
        .pipeline = "document",
        .step = "summarize",
        .lane = "normal",
        .input_type = "application/pdf",
    };
    if (!vars.metadata)
        vars.metadata = json_pack("{s:s, s:i, s:f, s:b, s:b, s:s, s:s}", "doc.kind", "invoice",
            "pages", 12, "score", 0.1, "vip", 1, "draft", 0, "it's", "odd", "lang-code", "dé");
    CHECK(vars.metadata);
    return &vars;
}

static bool holds(const char *text)
{
    struct mr_expr *expr = NULL;
    struct mr_err err = {0};

    if (mr_expr_compile(text, &expr, &err) < 0) {
        fprintf(stderr, "# %s: %s\n", text, err.msg);
        abort();
    }
    bool result = mr_expr_true(expr, some_vars());
    mr_expr_free(expr);
    return result;
}

static void conditions_hold_or_not(void)
{
    static const struct {
        const char *text;
        bool holds;
    } cases[] = {
        {"true", true},
        {"false", false},
        {"!false", true},
        {"!!false", false},
        {"prompt_bytes < 4002", true},
        {"prompt_bytes<4001", false},
        {"prompt_bytes <= 4001.0", true},
        {"prompt_tokens == 1001", true},
        {"4000 < prompt_bytes", true},
        {"prompt_bytes > -1", true},
        {"max_tokens >= 512 && priority != 5", false},
        {"max_tokens == 512 && priority == 5", true},
        {"tenant == 'acme'", true},
        {"tenant != 'acme' || step == 'summarize'", true},
        {"tenant < 'b' && pipeline >= 'document'", true},
        {"lane in ('high', 'normal')", true},
        {"lane in ('high')", false},
        {"priority in (1, 5)", true},
        {"input_type contains 'pdf'", true},
        {"input_type contains tenant", false},
        /* && before || */
        {"true || false && false", true},
        {"(true || false) && false", false},
        {"false && false || true", true},
        {"!(tenant == 'acme') || (priority == 5)", true},
        {"(priority == 5) == true", true},
        /* Metadata. */
        {"metadata.doc.kind == 'invoice'", true},
        {"metadata['doc.kind'] in ('order', 'invoice')", true},
        {"metadata['it''s'] == 'odd'", true},
        {"metadata.lang-code contains 'é'", true},
        {"metadata.pages > 11.5 && metadata.pages <= 12", true},
        {"metadata.score == 0.1", true},
        {"metadata.vip", true},
        {"!metadata.draft && metadata.vip == true", true},
        {"metadata.pages", false},
        {"metadata.draft == false", true},
        /* What is missing is equal to nothing, and another type is another value. */
        {"metadata.none == 'x'", false},
        {"metadata.none != 'x'", true},
        {"metadata.none == metadata.none", false},
        {"metadata.none != metadata.none", true},
        {"metadata.none < 1 || metadata.none >= 1", false},
        {"metadata.none in ('a', 1, true)", false},
        {"metadata.none contains 'a' || 'a' contains metadata.none", false},
        {"metadata.none", false},
        {"!metadata.none", true},
        {"input_name == 'a'", false},
        {"input_name != 'a'", true},
        {"metadata.pages == '12'", false},
        {"metadata.pages != '12'", true},
        {"metadata.pages < 'a'", false},
        {"metadata.pages contains '1'", false},
        {"metadata.vip == metadata.draft", false},
        {"metadata.vip < metadata.pages", false},
        {"\t( tenant == 'acme' )\n", true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (holds(cases[i].text) != cases[i].holds) {
            fprintf(stderr, "# wrong: %s\n", cases[i].text);
            abort();
        }
}

static void no_job_no_metadata(void)
{
    struct mr_expr_vars none = {0};
    struct mr_expr *expr = NULL;
    struct mr_err err = {0};

    CHECK_INT(
        mr_expr_compile("tenant != 'a' && metadata.x != 1 && prompt_tokens == 0", &expr, &err), 0);
    CHECK(mr_expr_true(expr, &none));
    mr_expr_free(expr);
    CHECK(!mr_expr_free(NULL));
}

static void refuse(const char *text, const char *words)
{
    struct mr_expr *expr = NULL;
    struct mr_err err = {0};

    CHECK_INT(mr_expr_compile(text, &expr, &err), -EINVAL);
    CHECK(!expr);
    if (!strstr(err.msg, words)) {
        fprintf(stderr, "# %s: \"%s\" lacks \"%s\"\n", text, err.msg, words);
        abort();
    }
}

static void errors_say_where_and_what(void)
{
    refuse("", "column 1: expected a name, a value or '(', found the end");
    refuse("prompt_bytes", "column 13: expected a comparison such as == or <, found the end");
    refuse("prompt_bytes = 4", "column 14: expected a comparison such as == or <, found '='");
    refuse("tenant == ", "column 11: expected a name, a value or '(', found the end");
    refuse("tenant == acme", "column 11: expected prompt_bytes, prompt_tokens");
    refuse("tenant == acme", "found 'acme'");
    refuse("tenant == \"acme\"", "column 11: expected a name, a value or '(', found '\"'");
    refuse("tenant == 'acme", "column 11: expected a closing '");
    refuse("tenant == 5", "column 11: expected a string to compare with, found a number");
    refuse(
        "prompt_bytes in (1, 'a')", "column 21: expected a number to compare with, found a string");
    refuse("prompt_bytes in (1, 2", "column 22: expected ',' or ')', found the end");
    refuse("lane in ()", "column 10: expected a number, a 'string', true or false, found ')'");
    refuse("lane in 'a'", "column 9: expected '(', found 'a'");
    refuse("priority contains 'a'", "column 19: expected a string, found a number");
    refuse("metadata.a contains 1", "expected a string, found a number");
    refuse("metadata.a < true", "expected == or !=");
    refuse("1 < priority < 5", "column 14: expected &&, || or the end, found '<'");
    refuse("tenant == 'é' & true", "column 15: expected &&, || or the end, found '&'");
    refuse("(true", "column 6: expected ')', found the end");
    refuse("true)", "column 5: expected &&, || or the end, found ')'");
    refuse("!priority == 5", "column 2: expected a condition behind '!'");
    refuse("!metadata.a == 5", "column 2: expected '(' around the comparison");
    refuse("prompt_byte < 4", "column 1: expected prompt_bytes");
    refuse("metadata == 1", "column 10: expected metadata.key or metadata['key'], found '=='");
    refuse("metadata. == 1", "column 1: expected metadata.key, found 'metadata.'");
    refuse("metadata[a] == 1", "column 10: expected a key in quotes, found 'a'");
    refuse("priority == 1.", "found '1.'");
    refuse("priority == 1e3", "found '1e3'");
    refuse("priority == -", "found '-'");
    refuse("priority == 5 ü", "column 15: expected &&, || or the end, found 'ü'");
    refuse("5", "expected a comparison");
    refuse("(tenant) == 'a'", "column 8: expected a comparison");
    refuse("'a' && true", "column 5: expected a comparison such as == or <, found '&&'");
}

static char *repeat(const char *part, size_t n, const char *end)
{
    struct mr_buf buf = MR_BUF_INIT(1 << 16);

    for (size_t i = 0; i < n; i++)
        CHECK_INT(mr_buf_puts(&buf, part), 0);
    CHECK_INT(mr_buf_puts(&buf, end), 0);
    return mr_buf_steal(&buf, NULL);
}

static void size_is_bounded(void)
{
    char *text = repeat("(", MR_EXPR_DEPTH_MAX + 1, "true");
    refuse(text, "column 33: nested more than 32 deep");
    free(text);
    text = repeat("!", 2 * MR_EXPR_NODES_MAX, "true");
    refuse(text, "more than 128");
    free(text);
    text = repeat("true||", MR_EXPR_NODES_MAX / 2, "true");
    refuse(text, "more than 128");
    free(text);
    text = repeat("false||", MR_EXPR_NODES_MAX / 2 - 1, "true");
    CHECK(holds(text));
    free(text);
    text = repeat(" ", MR_EXPR_MAX, "true");
    refuse(text, "longer than 1024 bytes");
    free(text);
}

/* Words and splinters in any order: compiled or refused, never more. The seed is fixed, so what is
 * found once is found again. */
static void nothing_crashes(void)
{
    static const char *const parts[] = {"prompt_bytes", "prompt_tokens", "tenant", "lane", "true",
        "false", "metadata.pages", "metadata.none", "metadata['vip']", "metadata", "'a'", "''", "'",
        "''''", "1", "-2.5", "0.1", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "!", "(", ")",
        "in", "in (", ",", "contains", " ", "é", "\xff", "\x80", ".", "-", "[", "]", "&", "=",
        "0x1", "in ('a', 1)", "(true)", "&& true", "< 3"};
    unsigned seed = 20240607, compiled = 0;
    MR_CLEANUP(mr_buf_deinit) struct mr_buf text = MR_BUF_INIT(MR_EXPR_MAX);

    for (int round = 0; round < 200000; round++) {
        struct mr_expr *expr = NULL;
        struct mr_err err = {0};
        int count = rand_r(&seed) % 12;
        mr_buf_reset(&text);
        CHECK_INT(mr_buf_puts(&text, ""), 0);
        for (int i = 0; i < count; i++)
            CHECK_INT(mr_buf_puts(
                          &text, parts[(size_t)rand_r(&seed) % (sizeof(parts) / sizeof(parts[0]))]),
                0);
        if (mr_expr_compile(text.data, &expr, &err) == 0) {
            bool first = mr_expr_true(expr, some_vars());
            CHECK_INT(mr_expr_true(expr, some_vars()), first);
            compiled++;
        } else {
            CHECK(strncmp(err.msg, "column ", 7) == 0);
        }
        mr_expr_free(expr);
    }
    CHECK(compiled > 1000);
}

TEST_MAIN(TEST(conditions_hold_or_not), TEST(no_job_no_metadata), TEST(errors_say_where_and_what),
    TEST(size_is_bounded), TEST(nothing_crashes))
