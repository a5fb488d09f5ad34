#include "producer/help.h"

#include <errno.h>
#include <string.h>

#define PATH_MAX_BYTES 4096

/* Text for roff: backslashes, dashes and leading dots are its own. */
static void text(FILE *out, const char *s, size_t n)
{
    bool start = true;
    for (size_t i = 0; i < n; i++) {
        if (start && (s[i] == '.' || s[i] == '\''))
            fputs("\\&", out);
        start = s[i] == '\n';
        if (s[i] == '\\')
            fputs("\\e", out);
        else if (s[i] == '-')
            fputs("\\-", out);
        else
            fputc(s[i], out);
    }
}

static void words(FILE *out, const char *s)
{
    text(out, s, strlen(s));
}

static void paragraphs(FILE *out, const char *s)
{
    while (*s) {
        const char *end = strstr(s, "\n\n");
        size_t n = end ? (size_t)(end - s) : strlen(s);
        fputs(".PP\n", out);
        text(out, s, n);
        fputc('\n', out);
        s += end ? n + 2 : n;
    }
}

static void options(FILE *out, const struct mr_option *o)
{
    for (; o->name; o++) {
        fputs(".TP\n", out);
        if (o->letter)
            fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
        fputs("\\fB\\-\\-", out);
        words(out, o->name);
        fputs("\\fR", out);
        if (o->arg)
            fprintf(out, " \\fI%s\\fR", o->arg);
        fputc('\n', out);
        words(out, o->help);
        fputs(".\n", out);
    }
}

/* "dlq list" -> "dlq-list" */
static void page_name(const struct mr_command *command, char *ret, size_t size)
{
    snprintf(ret, size, "%s%s", command ? "millrace-" : "millrace", command ? command->name : "");
    for (char *p = ret; *p; p++)
        if (*p == ' ')
            *p = '-';
}

static void title(FILE *out, const char *name, const char *summary)
{
    fputs(".\\\" Made of the command's own tables by: millrace help --man DIR\n.TH ", out);
    for (const char *p = name; *p; p++)
        fputc(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p, out);
    fputs(" 1 \"\" Millrace \"Millrace manual\"\n.SH NAME\n", out);
    words(out, name);
    fputs(" \\- ", out);
    words(out, summary);
    fputs("\n.SH SYNOPSIS\n", out);
}

static void exit_codes(FILE *out)
{
    fputs(".SH EXIT STATUS\n.TP\n0\nAll went well.\n.TP\n1\nSomething was refused, failed or "
          "not found.\n.TP\n2\nThe command line or the configuration is wrong.\n.TP\n3\nRabbitMQ "
          "or PostgreSQL cannot be used.\n.TP\n130\nInterrupted.\n",
        out);
}

static void command_page(FILE *out, const struct mr_command *command)
{
    const struct mr_option *tables[MR_TABLES_MAX];
    mr_command_tables(command, tables);
    fputs("\\fBmillrace ", out);
    words(out, command->name);
    fputs("\\fR [\\fIOPTION\\fR...]", out);
    if (command->operands[0])
        fputc(' ', out);
    words(out, command->operands);
    fputs("\n.SH DESCRIPTION\n", out);
    paragraphs(out, command->details);
    fputs(".SH OPTIONS\n", out);
    for (size_t t = 0; tables[t]; t++)
        options(out, tables[t]);
    exit_codes(out);
    fputs(".SH EXAMPLES\n.nf\n", out);
    words(out, command->examples);
    fputs(".fi\n.SH SEE ALSO\n.BR millrace (1)\n", out);
}

static void overview_page(FILE *out)
{
    fputs("\\fBmillrace\\fR [\\fB\\-\\-config\\fR \\fIFILE\\fR] \\fICOMMAND\\fR "
          "[\\fIOPTION\\fR...] [\\fIARGUMENT\\fR...]\n.SH DESCRIPTION\n"
          "Publishes jobs to RabbitMQ, where workers take them, and reads from PostgreSQL what "
          "became of them and what they cost.\n.SH COMMANDS\n",
        out);
    for (const struct mr_command *const *c = mr_commands(); *c; c++) {
        fputs(".TP\n\\fB", out);
        words(out, (*c)->name);
        fputs("\\fR\n", out);
        words(out, (*c)->summary);
        fputs(".\n", out);
    }
    fputs(".SH OUTPUT\nData goes to standard output, everything else to standard error. With "
          "\\fB\\-o json\\fR a command prints exactly one JSON document: an object, or an array "
          "with one element a line, written as the rows come. Money is a decimal string in "
          "dollars, times are RFC 3339 in UTC. In tables and texts, control characters that come "
          "from documents, providers or services are written as escapes.\n",
        out);
    exit_codes(out);
    fputs(".SH ENVIRONMENT\n.TP\n\\fBMILLRACE_CONFIG\\fR\nThe configuration file, unless "
          "\\fB\\-\\-config\\fR names one.\n.TP\n\\fBMILLRACE_\\fISECTION\\fB_\\fIKEY\\fR\n"
          "Overrides one key of the configuration; \\fBmillrace config reference\\fR lists "
          "them.\n",
        out);
    char name[64];
    fputs(".SH SEE ALSO\n", out);
    for (const struct mr_command *const *c = mr_commands(); *c; c++) {
        page_name(*c, name, sizeof(name));
        fprintf(out, ".BR %s (1)%s\n", name, c[1] ? "," : "");
    }
}

void mr_man_page(FILE *out, const struct mr_command *command)
{
    char name[64];
    page_name(command, name, sizeof(name));
    title(out, name, command ? command->summary : "runs AI jobs in bulk");
    if (command)
        command_page(out, command);
    else
        overview_page(out);
}

static int write_page(const char *dir, const struct mr_command *command, struct mr_err *err)
{
    char name[64], path[PATH_MAX_BYTES];
    page_name(command, name, sizeof(name));
    snprintf(path, sizeof(path), "%s/%s.1", dir, name);
    FILE *out = fopen(path, "we");
    if (!out)
        return mr_err_set(err, -errno, MR_CLASS_INVALID, "%s: %s", path, strerror(errno));
    mr_man_page(out, command);
    bool broken = ferror(out) != 0;
    if (fclose(out) != 0 || broken)
        return mr_err_set(err, -EIO, MR_CLASS_INVALID, "%s: cannot be written", path);
    return 0;
}

int mr_man_write(const char *dir, struct mr_err *err)
{
    int r = write_page(dir, NULL, err);
    for (const struct mr_command *const *c = mr_commands(); *c && r == 0; c++)
        r = write_page(dir, *c, err);
    return r;
}
