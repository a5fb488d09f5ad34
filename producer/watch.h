/* Hearing of events about some jobs. Only a hint to look: what is true stands in the database, so a
 * lost event or a lost connection costs a little time and nothing else. */
#pragma once

#include "common/amqp.h"

struct mr_watch;

/* Connects and makes an exclusive queue for events. 0 or negative with err. */
int mr_watch_new(const struct mr_config_broker *broker, const struct mr_random *random,
    struct mr_watch **ret, struct mr_err *err) MR_CHECK;
struct mr_watch *mr_watch_free(struct mr_watch *watch);

/* To be called before the job is published. Past some jobs, it listens to all there are. */
void mr_watch_add(struct mr_watch *watch, const struct mr_uuid *id);

/* Tells of every event that has come, waiting up to timeout_ms for the first. 0, or negative when
 * the connection is gone. */
int mr_watch_poll(struct mr_watch *watch, int timeout_ms,
    void (*heard)(void *ctx, const struct mr_uuid *id), void *ctx, struct mr_err *err) MR_CHECK;
