#include "worker/monitor/health.h"

#include <stdio.h>

static void add(json_t *reasons, bool bad, const char *words)
{
    if (bad)
        json_array_append_new(reasons, json_string(words));
}

static json_t *reasons_of(const struct mr_health_facts *facts)
{
    json_t *reasons = json_array();
    char words[96];
    add(reasons, facts->draining, "draining");
    add(reasons, !facts->started && !facts->draining,
        "starting: the database has not been reached yet");
    if (!facts->started)
        return reasons; /* nothing else has been tried */
    add(reasons, !facts->broker_connected, "broker: not connected");
    snprintf(words, sizeof(words), "broker: takes jobs from %u of %u queues", facts->consuming,
        facts->queues);
    add(reasons, facts->broker_connected && !facts->draining && facts->consuming < facts->queues,
        words);
    add(reasons, !facts->publisher_connected, "broker: the publisher is not connected");
    add(reasons, facts->broker_blocked, "broker: takes no messages (memory or disk alarm)");
    add(reasons, !facts->database_connected, "database: not connected");
    snprintf(words, sizeof(words), "database: no answer for %lld s",
        (long long)(facts->database_silent_ms / 1000));
    add(reasons, facts->database_connected && facts->database_silent_ms >= MR_HEALTH_SILENT_MS,
        words);
    add(reasons, facts->endpoints > 0 && facts->open == facts->endpoints,
        "providers: every endpoint's breaker is open");
    return reasons;
}

json_t *mr_health_ready(const struct mr_health_facts *facts, bool *ret_ready)
{
    json_t *reasons = reasons_of(facts);
    *ret_ready = json_array_size(reasons) == 0;
    return json_pack("{s:b, s:o, s:{s:b, s:b, s:i, s:i}, s:{s:b, s:I, s:I}, s:{s:i, s:i}}", /* */
        "ready", *ret_ready, "reasons", reasons,                                            /* */
        "broker", "connected", facts->broker_connected, "publisher", facts->publisher_connected,
        "queues", (int)facts->queues, "consuming", (int)facts->consuming, /* */
        "database", "connected", facts->database_connected, "silent_ms",
        (json_int_t)facts->database_silent_ms, "waiting", (json_int_t)facts->database_waiting,
        "providers", "endpoints", (int)facts->endpoints, "open", (int)facts->open);
}
