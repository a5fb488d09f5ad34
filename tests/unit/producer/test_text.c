#include "producer/figures.h"
#include "producer/output.h"
#include "producer/text.h"
#include "tests/unit/test.h"

#include <locale.h>

static void safe_is(const char *text, size_t n, enum mr_safe mode, const char *want)
{
    struct mr_buf buf = MR_BUF_INIT(1 << 20);
    CHECK_INT(mr_text_safe(&buf, text, n, mode), 0);
    CHECK_STR(buf.data ? buf.data : "", want);
    mr_buf_deinit(&buf);
}
#define SAFE(text, mode, want) safe_is(text, sizeof(text) - 1, mode, want)

static void escapes_what_a_terminal_obeys(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    SAFE("plain äöü 漢字", MR_SAFE_LINE, "plain äöü 漢字");
    SAFE("\033[31mred\033[0m", MR_SAFE_LINE, "\\x1b[31mred\\x1b[0m");
    SAFE("a\nb\tc\rd", MR_SAFE_LINE, "a\\nb\\tc\\rd");
    SAFE("a\nb\tc\rd", MR_SAFE_TEXT, "a\nb\tc\\rd");
    SAFE("nul\0x", MR_SAFE_LINE, "nul\\x00x");
    SAFE("\x7f", MR_SAFE_LINE, "\\x7f");
    SAFE("c1 \xc2\x9b 31m", MR_SAFE_TEXT, "c1 \\u{9b} 31m");
    SAFE("bidi \xe2\x80\xae evil", MR_SAFE_TEXT, "bidi \\u{202e} evil");
    SAFE("isolate \xe2\x81\xa6", MR_SAFE_LINE, "isolate \\u{2066}");
    SAFE("broken \xff\xc3", MR_SAFE_LINE, "broken \\xff\\xc3");
    SAFE("overlong \xc0\xaf", MR_SAFE_LINE, "overlong \\xc0\\xaf");
    SAFE("\"\xc2\x9b\x7f\"", MR_SAFE_JSON, "\"\\u009b\\u007f\"");
    SAFE("", MR_SAFE_LINE, "");
}

static void measures_columns(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    CHECK_INT(mr_text_width("abc", 3), 3);
    CHECK_INT(mr_text_width("äö", strlen("äö")), 2);
    CHECK_INT(mr_text_width("漢字", strlen("漢字")), 4);
    CHECK_INT(mr_text_width("e\xcc\x81", 3), 1); /* e and a combining accent */
    CHECK_INT(mr_text_fit("漢字", strlen("漢字"), 3), 3);
    CHECK_INT(mr_text_fit("abc", 3, 10), 3);
    CHECK_INT(mr_text_fit("abc", 3, 0), 0);
}

static void tidies_money(void)
{
    char usd[MR_USD_LEN];
    mr_usd_tidy("0.000123000000", usd);
    CHECK_STR(usd, "$0.000123");
    mr_usd_tidy("1.000000000001", usd);
    CHECK_STR(usd, "$1.000000000001");
    mr_usd_tidy("12345678901234567890.500000000000", usd);
    CHECK_STR(usd, "$12345678901234567890.500000");
    mr_usd_tidy("0", usd);
    CHECK_STR(usd, "$0.000000");
    mr_usd_tidy("0.5", usd);
    CHECK_STR(usd, "$0.500000");
    mr_usd_tidy(NULL, usd);
    CHECK_STR(usd, "");
}

/* ---- tables ---- */

static const struct mr_column columns[] = {{"job", "JOB", MR_CELL_TEXT},
    {"name", "NAME", MR_CELL_TEXT}, {"n", "N", MR_CELL_INT}, {"hidden", NULL, MR_CELL_TEXT},
    {"cost_usd", "COST", MR_CELL_USD}, {"at", "AT", MR_CELL_TIME}};
static const char *const cells[2][6] = {
    {"j1", "漢字\n\033", "7", "h", "1234.500000000000", "2026-11-20T18:00:00.123Z"},
    {"j2", "a rather long name that is cut", "12345", NULL, "-0.000000125000", NULL}};

static const char *cell(const void *source, size_t row, size_t column)
{
    (void)source;
    return cells[row][column];
}

static char *printed(int width, enum mr_format format)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    struct mr_cli cli = {.out = out, .width = width, .format = format};
    struct mr_rows rows = {.columns = columns, .ncolumns = 6, .nrows = 2, .cell = cell};
    mr_output_rows(&cli, &rows, "none");
    fclose(out);
    return text;
}

static void aligns_tables(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    char *text = printed(60, MR_FORMAT_TABLE);
    CHECK_STR(text, "JOB  NAME               N              COST  AT\n"
                    "j1   漢字\\n\\x1b         7  $1,234.500000000  2026-11-20 18:00:00Z\n"
                    "j2   a rather lo…  12,345     -$0.000000125\n");
    free(text);
}

static void figure_is(enum mr_cell type, const char *number, size_t places, const char *want)
{
    struct mr_buf buf = MR_BUF_INIT(256);
    CHECK_INT(mr_figure_put(&buf, type, number, places), 0);
    CHECK_STR(buf.data, want);
    mr_buf_deinit(&buf);
}

static void writes_figures(void)
{
    CHECK_INT(mr_figure_places(MR_CELL_DECIMAL, "1.250"), 2);
    CHECK_INT(mr_figure_places(MR_CELL_DECIMAL, "5"), 0);
    CHECK_INT(mr_figure_places(MR_CELL_USD, "5"), 6);
    CHECK_INT(mr_figure_places(MR_CELL_USD, "0.0000001250"), 9);
    CHECK_INT(mr_figure_places(MR_CELL_MS, "1234"), 0);
    figure_is(MR_CELL_DECIMAL, "5", 2, "5.00");
    figure_is(MR_CELL_DECIMAL, "1234567.5", 1, "1,234,567.5");
    figure_is(MR_CELL_INT, "-123456", 0, "-123,456");
    figure_is(MR_CELL_INT, "999", 0, "999");
    figure_is(MR_CELL_MS, "1234", 0, "1.23");
    figure_is(MR_CELL_MS, "3600007", 0, "3,600.00");
    figure_is(MR_CELL_MS, "-1500", 0, "-1.50"); /* a worker's clock was set back */
    figure_is(MR_CELL_USD, "Infinity", 6, "Infinity");
    figure_is(MR_CELL_INT, "", 0, "");
}

static void prints_json_rows(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    char *text = printed(0, MR_FORMAT_JSON);
    CHECK_STR(text,
        "[\n{\"job\":\"j1\",\"name\":\"漢字\\n\\u001B\",\"n\":7,\"hidden\":\"h\",\"cost_usd\":"
        "\"1234.500000\",\"at\":\"2026-11-20T18:00:00.123Z\"},\n{\"job\":\"j2\",\"name\":\"a "
        "rather "
        "long name that is "
        "cut\",\"n\":12345,\"hidden\":null,\"cost_usd\":\"-0.000000125\",\"at\":null}\n]\n");
    free(text);
}

TEST_MAIN(TEST(escapes_what_a_terminal_obeys), TEST(measures_columns), TEST(tidies_money),
    TEST(aligns_tables), TEST(writes_figures), TEST(prints_json_rows))
