#include "producer/help.h"

#include <string.h>

/* The shell code asks three functions that the tables fill in. */
static const char completion_head[] =
    "# bash completion for millrace, made of its own tables by: millrace help --completion\n"
    "# Source it, or put it into /usr/share/bash-completion/completions/millrace.\n\n";

static const char completion_tail[] =
    "_millrace() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    local first=${COMP_WORDS[1]} command\n"
    "    COMPREPLY=()\n"
    "    if ((COMP_CWORD == 1)); then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$(_millrace_words '')\" -- \"$cur\")\n"
    "        return\n"
    "    fi\n"
    "    command=$first\n"
    "    if [[ -n $(_millrace_words \"$first\") ]]; then\n"
    "        if ((COMP_CWORD == 2)); then\n"
    "            mapfile -t COMPREPLY < <(compgen -W \"$(_millrace_words \"$first\")\" -- "
    "\"$cur\")\n"
    "            return\n"
    "        fi\n"
    "        command=\"$first ${COMP_WORDS[2]}\"\n"
    "    fi\n"
    "    local values\n"
    "    values=$(_millrace_values \"$command\" \"$prev\")\n"
    "    if [[ $values == FILE ]]; then\n"
    "        compopt -o filenames\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "    elif [[ $values == NONE ]]; then\n"
    "        return\n"
    "    elif [[ -n $values ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$values\" -- \"$cur\")\n"
    "    elif [[ $cur == -* ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$(_millrace_options \"$command\")\" -- "
    "\"$cur\")\n"
    "    else\n"
    "        compopt -o filenames\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "    fi\n"
    "}\n"
    "complete -F _millrace millrace\n";

/* First words, and the second words of those that have some. */
static void put_words(FILE *out)
{
    const struct mr_command *const *all = mr_commands();
    fputs("_millrace_words() {\n    case $1 in\n    '') echo", out);
    for (const struct mr_command *const *c = all; *c; c++) {
        size_t n = strcspn((*c)->name, " ");
        if (c == all || strncmp(c[-1]->name, (*c)->name, n + 1) != 0)
            fprintf(out, " %.*s", (int)n, (*c)->name);
    }
    fputs(" ;;\n", out);
    for (const struct mr_command *const *c = all; *c; c++) {
        size_t n = strcspn((*c)->name, " ");
        if (!(*c)->name[n])
            continue;
        bool opens = c == all || strncmp(c[-1]->name, (*c)->name, n + 1) != 0;
        bool closes = !c[1] || strncmp(c[1]->name, (*c)->name, n + 1) != 0;
        if (opens)
            fprintf(out, "    %.*s) echo", (int)n, (*c)->name);
        fprintf(out, " %s", (*c)->name + n + 1);
        if (closes)
            fputs(" ;;\n", out);
    }
    fputs("    esac\n}\n", out);
}

static void put_options(FILE *out)
{
    fputs("_millrace_options() {\n    case $1 in\n", out);
    for (const struct mr_command *const *c = mr_commands(); *c; c++) {
        const struct mr_option *tables[MR_TABLES_MAX];
        mr_command_tables(*c, tables);
        fprintf(out, "    '%s') echo", (*c)->name);
        for (size_t t = 0; tables[t]; t++)
            for (const struct mr_option *o = tables[t]; o->name; o++)
                fprintf(out, " --%s", o->name);
        fputs(" ;;\n", out);
    }
    fputs("    esac\n}\n", out);
}

static void put_value(FILE *out, const struct mr_command *command, const struct mr_option *o)
{
    if (o->type == MR_OPT_FLAG)
        return;
    fprintf(out, "    '%s --%s'", command->name, o->name);
    if (o->letter)
        fprintf(out, " | '%s -%c'", command->name, o->letter);
    fputs(") echo ", out);
    if (o->type == MR_OPT_FILE) {
        fputs("FILE", out);
    } else if (o->type != MR_OPT_CHOICE) {
        fputs("NONE", out);
    } else {
        fputc('\'', out);
        for (const char *p = o->choices; *p; p++)
            fputc(*p == '|' ? ' ' : *p, out);
        fputc('\'', out);
    }
    fputs(" ;;\n", out);
}

static void put_values(FILE *out)
{
    fputs("_millrace_values() {\n    case \"$1 $2\" in\n", out);
    for (const struct mr_command *const *c = mr_commands(); *c; c++) {
        const struct mr_option *tables[MR_TABLES_MAX];
        mr_command_tables(*c, tables);
        for (size_t t = 0; tables[t]; t++)
            for (const struct mr_option *o = tables[t]; o->name; o++)
                put_value(out, *c, o);
    }
    fputs("    esac\n}\n", out);
}

void mr_completion(FILE *out)
{
    fputs(completion_head, out);
    put_words(out);
    put_options(out);
    put_values(out);
    fputs(completion_tail, out);
}
