#include "producer/help.h"

#include <string.h>

#define WIDTH 80
#define HELP_COLUMN 28 /* where an option's text begins */

/* Breaks one paragraph at spaces. `used` columns of the first line are taken already. */
static void wrap(FILE *out, const char *text, size_t n, size_t indent, size_t used)
{
    size_t column = used;
    for (size_t i = 0; i < n;) {
        size_t word = i;
        while (word < n && text[word] != ' ')
            word++;
        size_t len = word - i;
        if (column > indent && column + 1 + len > WIDTH) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fwrite(text + i, 1, len, out);
        column += len;
        i = word < n ? word + 1 : n;
    }
    fputc('\n', out);
}

static void paragraphs(FILE *out, const char *text)
{
    while (*text) {
        const char *end = strstr(text, "\n\n");
        size_t n = end ? (size_t)(end - text) : strlen(text);
        wrap(out, text, n, 0, 0);
        text += end ? n + 2 : n;
        if (*text)
            fputc('\n', out);
    }
}

static void option(FILE *out, const struct mr_option *o)
{
    char head[128], letter[8] = "    ";
    if (o->letter)
        snprintf(letter, sizeof(letter), "-%c, ", o->letter);
    snprintf(head, sizeof(head), "  %s--%s%s%s", letter, o->name, o->arg ? " " : "",
        o->arg ? o->arg : "");
    size_t n = strlen(head);
    fputs(head, out);
    if (n + 2 > HELP_COLUMN) {
        fputc('\n', out);
        n = 0;
    }
    fprintf(out, "%*s", (int)(HELP_COLUMN - n), "");
    wrap(out, o->help, strlen(o->help), HELP_COLUMN, HELP_COLUMN);
}

void mr_help_command(FILE *out, const struct mr_command *command)
{
    const struct mr_option *tables[MR_TABLES_MAX];
    mr_command_tables(command, tables);
    fprintf(out, "millrace %s: %s\n\nUsage: millrace %s [OPTION...]%s%s\n\n", command->name,
        command->summary, command->name, command->operands[0] ? " " : "", command->operands);
    paragraphs(out, command->details);
    fputs("\nOptions:\n", out);
    for (size_t t = 0; tables[t]; t++)
        for (const struct mr_option *o = tables[t]; o->name; o++)
            option(out, o);
    fprintf(out, "\nExamples:\n%s", command->examples);
}

bool mr_help_group(FILE *out, const char *group)
{
    size_t n = strlen(group);
    bool any = false;
    for (const struct mr_command *const *c = mr_commands(); *c; c++) {
        if (strncmp((*c)->name, group, n) != 0 || (*c)->name[n] != ' ')
            continue;
        if (!any)
            fprintf(
                out, "Usage: millrace %s COMMAND [OPTION...] [ARGUMENT...]\n\nCommands:\n", group);
        any = true;
        fprintf(out, "  %-14s%s\n", (*c)->name, (*c)->summary);
    }
    if (any)
        fprintf(
            out, "\nmillrace %s COMMAND --help explains a command and shows examples.\n", group);
    return any;
}

void mr_help_overview(FILE *out)
{
    fputs("millrace: runs AI jobs in bulk\n\n"
          "Usage: millrace [--config FILE] COMMAND [OPTION...] [ARGUMENT...]\n\nCommands:\n",
        out);
    for (const struct mr_command *const *c = mr_commands(); *c; c++)
        fprintf(out, "  %-14s%s\n", (*c)->name, (*c)->summary);
    fputs("\nmillrace COMMAND --help explains a command and shows examples.\n"
          "Exit codes: 0 all went well, 1 something was refused, failed or not found,\n"
          "2 the command line or the configuration is wrong, 3 RabbitMQ or PostgreSQL\n"
          "cannot be used, 130 interrupted.\n",
        out);
}
