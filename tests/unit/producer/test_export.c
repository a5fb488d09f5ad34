/* Usage exports, as providers write them. */
#include "producer/export.h"
#include "tests/unit/test.h"

#include <errno.h>

struct seen {
    int rows;
    char text[2048];
    bool columns[MR_EXPORT_COLUMNS];
};

static int take(void *ctx, const struct mr_export_row *row)
{
    struct seen *seen = ctx;
    size_t used = strlen(seen->text);
    seen->rows++;
    snprintf(seen->text + used, sizeof(seen->text) - used,
        "%lld %s/%s/%s @%lld %lld+%lld>%lld $%lld x%lld\n", (long long)row->line,
        row->call ? row->call : "-", row->request ? row->request : "-",
        row->model ? row->model : "-", (long long)row->at_ms, (long long)row->input,
        (long long)row->cached, (long long)row->output, (long long)row->cost_pico,
        (long long)row->count);
    return 0;
}

static void check(const char *text, const char *want)
{
    struct seen seen = {0};
    struct mr_err err;
    int r = mr_export_read("e.csv", text, strlen(text), take, &seen, seen.columns, &err);
    if (r < 0)
        fprintf(stderr, "# %s\n", err.msg);
    CHECK_INT(r, 0);
    CHECK_STR(seen.text, want);
}

static void refuse(const char *text, const char *part)
{
    struct seen seen = {0};
    struct mr_err err;
    CHECK(mr_export_read("e.csv", text, strlen(text), take, &seen, seen.columns, &err) < 0);
    if (!strstr(err.msg, part)) {
        fprintf(stderr, "# \"%s\" lacks \"%s\"\n", err.msg, part);
        abort();
    }
}

static void csv(void)
{
    check("\xef\xbb\xbfRequest ID,Model,X-Client-Request-Id,Input Tokens,other,Cost (USD),cost\r\n"
          "r1,\"gpt, \"\"x\"\"\",c1,12,?,9,$0.000025\r\n\r\n"
          "r2,\"two\nlines\",,1.0,,,1.5e-06\r\nr3,m,,,,,",
        "2 c1/r1/gpt, \"x\" @-1 12+-1>-1 $25000000 x-1\n"
        "4 -/r2/two\nlines @-1 1+-1>-1 $1500000 x-1\n"
        "6 -/r3/m @-1 -1+-1>-1 $-1 x-1\n");
    check("day,model,prompt_tokens,n_generated_tokens_total,num_model_requests\n"
          "2026-11-20,m,5,6,7\n2026-11-20 10:00:00,m,5,6,7\n1763600400,m,0,0,0\n",
        "2 -/-/m @1795132800000 5+-1>6 $-1 x7\n3 -/-/m @1795168800000 5+-1>6 $-1 x7\n"
        "4 -/-/m @1763600400000 0+-1>0 $-1 x0\n");
    check("id,a;b\nr1;x,y\n", "2 -/r1;x/- @-1 -1+-1>-1 $-1 x-1\n");
}

static void json_lines(void)
{
    check("{\"id\":\"r1\",\"model\":\"m\",\"usage\":{\"input_tokens\":5,\"output_tokens\":6,"
          "\"cache_read_input_tokens\":2},\"amount\":{\"value\":3e-06,\"currency\":\"usd\"}}\n\n"
          "{\"id\":\"r2\",\"created\":1763600400,\"cost\":0.1000000000000000055,\"model\":null}\n",
        "1 -/r1/m @-1 5+2>6 $3000000 x-1\n3 -/r2/- @1763600400000 -1+-1>-1 $100000000000 x-1\n");
}

static void errors_say_where(void)
{
    refuse("", "is empty");
    refuse("id,cost\nr1,1\nr2,much\n", "e.csv:3: cost much: must be dollars");
    refuse("id,input_tokens\nr1,1.5\n", "e.csv:2: tokens 1.5");
    refuse("id,input_tokens\nr1,-1\n", "e.csv:2: tokens -1");
    refuse("id,time\nr1,noon\n", "e.csv:2: time noon");
    refuse("{\"id\":\"a\"}\n[1]\n", "e.csv:2: must be a JSON object");
    refuse("{\"id\":", "e.csv:1");
    refuse("id\n", "e.csv: has no rows");
    refuse("id,cost\n\n", "e.csv: has no rows");
    refuse("id;cost\nr1;1\n", "e.csv:1: fields must be separated by commas");
    refuse("id,cost,model\nr1,1,m\n\nr2,1\n", "e.csv:4: has 2 fields, but the heading has 3");
    refuse("id,cost\nr1,1\n\"r2,1\nr3,1\n", "e.csv:3: a quote is opened here");
    refuse("id,\"cost\nr1,1\n", "e.csv:1: a quote is opened here");
}

static void which_columns(void)
{
    struct seen seen = {0};
    struct mr_err err;
    const char *text = "request_id,cost,model\nr,,m\n";
    CHECK_INT(mr_export_read("e", text, strlen(text), take, &seen, seen.columns, &err), 0);
    CHECK(seen.columns[MR_EXPORT_REQUEST] && seen.columns[MR_EXPORT_MODEL]);
    CHECK(!seen.columns[MR_EXPORT_COST] && !seen.columns[MR_EXPORT_CALL]);
}

TEST_MAIN(TEST(csv), TEST(json_lines), TEST(errors_say_where), TEST(which_columns))
