/* Which fault meets which message: "the k-th time this point is seen at that slot, do this". */
#pragma once

#include "tests/faultproxy/wire.h"

/* Where the message and its answer are when the fault comes. */
enum mr_when {
    MR_WHEN_BEFORE, /* the message has not been passed on */
    MR_WHEN_SENT,   /* it has, just now */
    MR_WHEN_LOST,   /* its answer is here and has not been passed on */
    MR_WHEN_AFTER,  /* the answer has, just now */
};

enum mr_action {
    MR_ACTION_KILL,  /* SIGKILL the worker */
    MR_ACTION_TERM,  /* SIGTERM the worker */
    MR_ACTION_STOP,  /* SIGSTOP the worker for arg ms */
    MR_ACTION_RESET, /* reset the connection at both ends */
    MR_ACTION_CUT,   /* pass half of the message on, then close */
    MR_ACTION_STALL, /* let nothing through this connection for arg ms */
};

#define MR_RULES_MAX 64

struct mr_rule {
    int id, slot; /* slot -1: any worker's */
    enum mr_point point;
    enum mr_when when;
    enum mr_action action;
    long k, arg, seen;
    bool spent;
};

struct mr_rules {
    struct mr_rule rules[MR_RULES_MAX];
    int count;
};

/* Reads "ID SLOT POINT K WHEN ACTION ARG" (SLOT "*": any worker's) and adds it. 0 or -EINVAL,
 * -ENOSPC. */
int mr_rules_add(struct mr_rules *rules, const char *text) MR_CHECK;

/* Counts a message and says which rule's turn it is; NULL: nobody's. */
struct mr_rule *mr_rules_meet(struct mr_rules *rules, int slot, bool worker, enum mr_point point);

const char *mr_action_name(enum mr_action action);
