/* The worker process: one libuv loop with the engine in the middle, the broker, the store, the
 * caller and the extractor around it, and the signals. SIGTERM and SIGINT drain (a second one ends
 * the process at once, as a crash would), SIGHUP reloads. */
#pragma once

#include "common/config.h"
#include "common/log.h"

/* Runs until drained. path: the configuration file, NULL = the default search. Takes config over;
 * log is borrowed, and a reload sets its level. Returns the exit code. */
int mr_daemon_run(const char *path, struct mr_config *config, struct mr_log *log);
