/* SIGINT and SIGTERM as something to look at between two steps, not as sudden death. */
#pragma once

#include "common/err.h"

#include <signal.h>
#include <stdbool.h>

struct mr_signals {
    int fd; /* readable when one has come */
    sigset_t before;
    bool hit;
};

/* Blocks both signals until the first one is seen or close is called. 0 or negative with err. */
int mr_signals_open(struct mr_signals *ret, struct mr_err *err) MR_CHECK;
void mr_signals_close(struct mr_signals *signals);

/* Whether one has come. The first one lifts the block, so that a second one kills at once. */
bool mr_signals_hit(struct mr_signals *signals);

/* Waits until fd (or -1) is readable, a signal has come or the time is over. */
void mr_signals_wait(struct mr_signals *signals, int fd, int other_fd, int timeout_ms);
