/* A progress bar on a terminal's stderr; nothing at all in a pipe. */
#pragma once

#include "producer/command.h"

struct mr_progress {
    struct mr_cli *cli;
    int64_t start_ms, drawn_ms;
    int64_t total; /* units of work, 0 = unknown */
    int64_t done;  /* units */
    int64_t confirmed, refused, failed;
};

void mr_progress_begin(struct mr_progress *ret, struct mr_cli *cli, int64_t total);
/* Draws, but not more often than an eye can see. */
void mr_progress_draw(struct mr_progress *progress);
/* A line of text in its place, cut to fit. False: there is no terminal to draw it on. */
bool mr_progress_say(struct mr_progress *progress, const char *line);
/* Removes the bar. */
void mr_progress_end(struct mr_progress *progress);
