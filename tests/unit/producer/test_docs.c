/* The man pages and the completion in the repository are what the tables say. */
#include "common/buf.h"
#include "producer/help.h"
#include "tests/unit/test.h"

#include <errno.h>

#define FILE_MAX (1 << 20)

/* SOURCE_ROOT comes from meson. */
static void same(const char *path, const char *want)
{
    char full[4096];
    struct mr_err err;
    struct mr_buf buf = MR_BUF_INIT(FILE_MAX);
    snprintf(full, sizeof(full), "%s/%s", SOURCE_ROOT, path);
    if (mr_buf_read_file(&buf, full, &err) < 0 || strcmp(buf.data, want) != 0)
        fprintf(stderr,
            "# %s is not what the tables say; in the checkout run:\n"
            "#   millrace help --man docs/man && millrace help --completion "
            "> ops/completion/millrace.bash\n",
            path);
    CHECK(buf.data && strcmp(buf.data, want) == 0);
    mr_buf_deinit(&buf);
}

static void man_pages(void)
{
    const struct mr_command *const *command = mr_commands();
    for (bool first = true; first || *command; first = false) {
        char *text = NULL, path[128] = "docs/man/millrace.1";
        size_t n = 0;
        FILE *out = open_memstream(&text, &n);
        mr_man_page(out, first ? NULL : *command);
        fclose(out);
        if (!first) {
            snprintf(path, sizeof(path), "docs/man/millrace-%s.1", (*command++)->name);
            for (char *p = path; *p; p++)
                *p = *p == ' ' ? '-' : *p;
        }
        same(path, text);
        free(text);
    }
}

static void completion(void)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    mr_completion(out);
    fclose(out);
    same("ops/completion/millrace.bash", text);
    free(text);
}

/* What help and parsing rely on, for every command there is. */
static void tables_are_complete(void)
{
    for (const struct mr_command *const *c = mr_commands(); *c; c++) {
        const struct mr_option *tables[MR_TABLES_MAX];
        char letters[64] = "";
        CHECK((*c)->summary && (*c)->details && (*c)->operands && (*c)->run);
        CHECK((*c)->examples[strlen((*c)->examples) - 1] == '\n');
        mr_command_tables(*c, tables);
        for (size_t t = 0; tables[t]; t++)
            for (const struct mr_option *o = tables[t]; o->name; o++) {
                CHECK(o->help && (o->arg != NULL) == (o->type != MR_OPT_FLAG));
                CHECK(o->help[strlen(o->help) - 1] != '.');
                CHECK((o->choices != NULL) == (o->type == MR_OPT_CHOICE));
                CHECK(!o->letter || !strchr(letters, o->letter));
                if (o->letter)
                    letters[strlen(letters)] = o->letter;
            }
    }
}

static void groups_list_their_commands(void)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    CHECK(mr_help_group(out, "dlq"));
    CHECK(!mr_help_group(out, "enqueue"));
    CHECK(!mr_help_group(out, "dl"));
    fclose(out);
    CHECK(strstr(text, "  dlq replay") && strstr(text, "  dlq show"));
    CHECK(!strstr(text, "jobs list"));
    free(text);
}

TEST_MAIN(
    TEST(man_pages), TEST(completion), TEST(tables_are_complete), TEST(groups_list_their_commands))
