#include "producer/findings.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMN_LEVEL, COLUMN_CHECK, COLUMN_FOUND, COLUMN_TODO, COLUMN_COUNT };

struct mr_finding {
    enum mr_level level;
    char *texts[COLUMN_COUNT]; /* [COLUMN_LEVEL] is borrowed */
};

static const struct mr_column columns[COLUMN_COUNT] = {
    [COLUMN_LEVEL] = {"level", "LEVEL", MR_CELL_TEXT},
    [COLUMN_CHECK] = {"check", "CHECK", MR_CELL_TEXT},
    [COLUMN_FOUND] = {"found", "FOUND", MR_CELL_TEXT},
    [COLUMN_TODO] = {"todo", "WHAT TO DO", MR_CELL_TEXT},
};

static const char *level_name(enum mr_level level)
{
    static const char *const names[] = {"ok", "warn", "fail"};
    return names[level];
}

static void finding_deinit(struct mr_finding *finding)
{
    for (size_t i = COLUMN_CHECK; i < COLUMN_COUNT; i++)
        free(finding->texts[i]);
}

void mr_findings_add(struct mr_findings *findings, enum mr_level level, const char *check,
    const char *todo, const char *fmt, ...)
{
    struct mr_finding finding = {.level = level};
    va_list args;
    va_start(args, fmt);
    if (vasprintf(&finding.texts[COLUMN_FOUND], fmt, args) < 0)
        finding.texts[COLUMN_FOUND] = NULL;
    va_end(args);
    finding.texts[COLUMN_CHECK] = strdup(check);
    finding.texts[COLUMN_TODO] = strdup(todo);
    struct mr_finding *items =
        reallocarray(findings->items, findings->count + 1, sizeof(*findings->items));
    if (items)
        findings->items = items;
    if (items && finding.texts[COLUMN_FOUND] && finding.texts[COLUMN_CHECK] &&
        finding.texts[COLUMN_TODO]) {
        items[findings->count++] = finding;
    } else {
        finding_deinit(&finding);
        findings->short_of_memory = true;
    }
}

void mr_findings_deinit(struct mr_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        finding_deinit(&findings->items[i]);
    free(findings->items);
    *findings = (struct mr_findings){0};
}

size_t mr_findings_count(const struct mr_findings *findings, enum mr_level level)
{
    size_t n = 0;
    for (size_t i = 0; i < findings->count; i++)
        n += findings->items[i].level == level;
    return n;
}

static const char *cell(const void *source, size_t row, size_t column)
{
    const struct mr_findings *findings = source;
    const struct mr_finding *finding = &findings->items[row];
    return column == COLUMN_LEVEL ? level_name(finding->level) : finding->texts[column];
}

/* What was found is for reading whole: lines, never a table that cuts them. */
static void print_text(struct mr_cli *cli, const struct mr_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct mr_finding *finding = &findings->items[i];
        fprintf(
            cli->out, "%-4s  %-12s  ", level_name(finding->level), finding->texts[COLUMN_CHECK]);
        mr_output_safe(cli->out, finding->texts[COLUMN_FOUND], false);
        fputc('\n', cli->out);
        if (finding->texts[COLUMN_TODO][0]) {
            fprintf(cli->out, "%20s", "-> ");
            mr_output_safe(cli->out, finding->texts[COLUMN_TODO], false);
            fputc('\n', cli->out);
        }
    }
}

enum mr_exit mr_findings_print(
    struct mr_cli *cli, const struct mr_findings *findings, const char *none)
{
    struct mr_rows rows = {.columns = columns,
        .ncolumns = COLUMN_COUNT,
        .nrows = findings->count,
        .cell = cell,
        .source = findings};
    if (cli->format == MR_FORMAT_JSON)
        mr_output_rows(cli, &rows, none);
    else if (findings->count == 0)
        fprintf(cli->out, "%s\n", none);
    else
        print_text(cli, findings);
    if (findings->short_of_memory)
        mr_cli_error(cli, "out of memory: the list is not complete");
    return findings->short_of_memory || mr_findings_count(findings, MR_LEVEL_FAIL) ? MR_EXIT_FAILED
                                                                                   : MR_EXIT_OK;
}
