/* What the tables say, as help, as man pages and as a bash completion. */
#pragma once

#include "producer/command.h"

void mr_help_overview(FILE *out);
/* The commands that begin with this word, such as dlq. False: there are none. */
bool mr_help_group(FILE *out, const char *group);
void mr_help_command(FILE *out, const struct mr_command *command);

/* millrace.1 (command NULL) or millrace-<command>.1. */
void mr_man_page(FILE *out, const struct mr_command *command);

/* Writes every page as <dir>/millrace*.1. 0, or negative with err. */
int mr_man_write(const char *dir, struct mr_err *err) MR_CHECK;

void mr_completion(FILE *out);
