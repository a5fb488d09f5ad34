/* docs/configuration.md, made of the tables. */
#include "common/config_row.h"
#include "common/embed.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static const char intro[] =
    "# Configuration\n"
    "\n"
    "<!-- Made of common/config_table*.c; do not edit. MILLRACE_UPDATE_DOCS=1 meson test "
    "config_docs\n"
    "     writes it anew. -->\n"
    "\n"
    "One file for the command and the worker: `--config FILE`, else `$MILLRACE_CONFIG`, else\n"
    "`/etc/millrace/millrace.cfg`, else nothing but the built-in defaults, with which everything "
    "runs\n"
    "on one machine. The format is [libconfig](https://hyperrealm.github.io/libconfig/)'s; a "
    "commented\n"
    "example is `ops/config/millrace.sample.cfg`, one of several providers stands at the end of "
    "this "
    "page.\n"
    "`millrace config check` checks a file, `millrace config --print` shows what is in force.\n"
    "\n"
    "- The built-in default (`ops/config/default.cfg`) is read first. Your file overrides single "
    "keys,\n"
    "  and adds or replaces providers, models and pipelines by name (pipelines by name and "
    "version),\n"
    "  retry rules by class.\n"
    "- An environment variable overrides a key of the file; an empty one counts as none. Lists "
    "are\n"
    "  comma separated there.\n"
    "- An unknown key is an error that names file and line.\n"
    "- File names are relative to the folder of the configuration file (in variables: to the "
    "working\n"
    "  directory). `@include \"more.cfg\"` at the beginning of a line includes a file.\n"
    "- Durations are strings: `\"250ms\"`, `\"30s\"`, `\"10m\"`, `\"2h\"`, `\"7d\"`. Sizes are "
    "bytes or "
    "strings:\n"
    "  `\"64KiB\"`, `\"10MiB\"`. Numbers above 2147483647 need libconfig's `L`.\n"
    "- A secret never stands in the configuration: a key names the file (closed to group and "
    "others,\n"
    "  or it is refused; in `/run/secrets`, where container engines mount them, it may be "
    "readable)\n"
    "  or the environment variable that holds it.\n"
    "- *Reload* says whether SIGHUP applies a change to a running worker; retry rules, providers,\n"
    "  models and pipelines always reload, and a running job keeps what it began with.\n";

struct list_doc {
    const char *title, *about;
    struct mr_rows (*rows)(void);
};

static const struct list_doc lists[] = {
    {"providers", "`providers: ( { ... }, ... );` Where calls go.", mr_config_provider_rows},
    {"endpoints", "`endpoints = ( { ... }, ... );` in a provider. Calls go to a healthy one.",
        mr_config_endpoint_rows},
    {"custom", "`custom = { ... };` in a provider of kind `custom`: its wire format.",
        mr_config_custom_rows},
    {"models", "`models: ( { ... }, ... );` What steps call, by alias.", mr_config_model_rows},
    {"choose", "`choose = ( { ... }, ... );` in a model. The first whose condition holds counts.",
        mr_config_rule_rows},
    {"retry", "`retry: ( { ... }, ... );` How failures of a class are repeated.",
        mr_config_retry_rows},
    {"pipelines", "`pipelines: ( { ... }, ... );` What happens to a job.", mr_config_pipeline_rows},
    {"steps of a pipeline",
        "`steps = ( { ... }, ... );` Steps whose `after` has ended run at the same time.",
        mr_config_step_rows},
};

/* '|' would end a cell. */
static void print_cell(const char *text, FILE *out)
{
    for (; *text; text++)
        if (*text == '|')
            fputs("\\|", out);
        else
            putc(*text, out);
}

static void print_choices(const char *choices, FILE *out)
{
    for (const char *c = choices; *c;) {
        int n = (int)strcspn(c, "|");
        fprintf(out, "%s`%.*s`", c == choices ? "" : ", ", n, c);
        c += n + (c[n] == '|');
    }
}

static void print_type(const struct mr_row *row, FILE *out)
{
    static const char *const names[] = {
        [MR_ROW_STR] = "string",
        [MR_ROW_TEXT] = "text",
        [MR_ROW_NAME] = "name",
        [MR_ROW_PATH] = "file",
        [MR_ROW_ENV] = "variable",
        [MR_ROW_URL] = "URL",
        [MR_ROW_STRV] = "list of strings",
        [MR_ROW_HOSTS] = "list of hosts",
        [MR_ROW_INT] = "number",
        [MR_ROW_LONG] = "number",
        [MR_ROW_SIZE] = "size",
        [MR_ROW_BOOL] = "true or false",
        [MR_ROW_MS] = "duration",
        [MR_ROW_SECONDS] = "duration",
        [MR_ROW_LONG_MS] = "duration",
        [MR_ROW_FACTOR] = "number",
        [MR_ROW_RATE] = "dollars",
        [MR_ROW_ENUM] = "choice",
        [MR_ROW_OTHER] = "see right",
    };
    bool number = row->type >= MR_ROW_INT && row->type <= MR_ROW_RATE;

    if (row->choices) {
        print_choices(row->choices, out);
        return;
    }
    fputs(names[row->type], out);
    if (number && (row->min || row->max)) {
        char min[MR_ROW_NUMBER_LEN], max[MR_ROW_NUMBER_LEN];
        mr_row_format(row, row->min, min);
        mr_row_format(row, row->max, max);
        fprintf(out, ", %s to %s", min, max);
    }
}

static void print_default(const struct mr_row *row, FILE *out)
{
    if (row->required)
        fputs("required", out);
    else if (row->def)
        fprintf(out, "`%s`", row->def);
}

static void print_scalar(const struct mr_row *row, FILE *out)
{
    fprintf(out, "| `%s` | ", row->key);
    print_type(row, out);
    fputs(" | ", out);
    print_default(row, out);
    fprintf(out, " | %s | `MILLRACE_", row->reloadable ? "yes" : "no");
    for (const char *c = row->section; *c; c++)
        putc(toupper((unsigned char)*c), out);
    putc('_', out);
    for (const char *c = row->key; *c; c++)
        putc(toupper((unsigned char)*c), out);
    fputs("` | ", out);
    print_cell(row->help, out);
    fputs(" |\n", out);
}

static void print_list(const struct list_doc *list, FILE *out)
{
    struct mr_rows rows = list->rows();

    fprintf(out, "\n## %s\n\n%s\n\n| Key | Type | Default | Meaning |\n|---|---|---|---|\n",
        list->title, list->about);
    for (size_t i = 0; i < rows.count; i++) {
        fprintf(out, "| `%s` | ", rows.items[i].key);
        print_type(&rows.items[i], out);
        fputs(" | ", out);
        print_default(&rows.items[i], out);
        fputs(" | ", out);
        print_cell(rows.items[i].help, out);
        fputs(" |\n", out);
    }
}

int mr_config_print_reference(FILE *out)
{
    struct mr_rows rows = mr_config_scalars();
    const char *section = "";

    fputs(intro, out);
    for (size_t i = 0; i < rows.count; i++) {
        const struct mr_row *row = &rows.items[i];
        if (strcmp(section, row->section) != 0) {
            section = row->section;
            fprintf(out,
                "\n## %s\n\n| Key | Type | Default | Reload | Environment | Meaning |\n"
                "|---|---|---|---|---|---|\n",
                section);
        }
        print_scalar(row, out);
    }
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        print_list(&lists[i], out);
    const struct mr_embedded *example = mr_embedded_find("ops/config/providers.cfg");
    if (!example)
        return -ENOENT;
    fprintf(out, "\n## Example\n\n`ops/config/providers.cfg`:\n\n```\n%s```\n", example->text);
    return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}
