/* News for whoever listens on millrace.events: schemas/event.schema.json. */
#include "worker/engine/job.h"

#include <stdio.h>
#include <stdlib.h>

/* Names obey mr_name_check, so none needs escaping. An event is news, not a promise: without memory
 * there is none. */
static struct mr_publish *news(struct mr_job *job, const char *event, struct mr_buf *body)
{
    size_t len;
    struct mr_publish *publish = calloc(1, sizeof(*publish));
    char *bytes = publish ? mr_buf_steal(body, &len) : NULL;
    if (!bytes) {
        mr_buf_deinit(body);
        return mr_publish_free(publish);
    }
    publish->kind = MR_PUBLISH_EVENT;
    publish->body = publish->body_owned = bytes;
    publish->len = len;
    publish->id = job->envelope.id;
    snprintf(publish->event, sizeof(publish->event), "%s", event);
    return publish;
}

static void send_news(struct mr_job *job, struct mr_publish *publish)
{
    struct mr_broker_ops *broker = &job->engine->world.broker;
    if (publish)
        broker->publish(broker->ctx, publish);
}

void mr_job_event(struct mr_job *job, const char *event, const char *step, const char *state)
{
    char id[MR_UUID_LEN], at[MR_TIME_LEN], cost[MR_MONEY_LEN];
    mr_uuid_format(&job->envelope.id, id);
    mr_time_format(mr_engine_wall(job->engine), at);
    mr_money_format(job->spent_pico, cost);
    struct mr_buf body = MR_BUF_INIT(4096);
    int r = mr_buf_printf(&body,
        "{\"v\":1,\"event\":\"%s\",\"job\":\"%s\",\"tenant\":\"%s\",\"pipeline\":\"%s\","
        "\"step\":%s%s%s,\"state\":\"%s\",\"spent_usd\":\"%s\",\"at\":\"%s\"}",
        event, id, job->envelope.tenant, job->envelope.pipeline, *step ? "\"" : "",
        *step ? step : "null", *step ? "\"" : "", state, cost, at);
    if (r == 0)
        send_news(job, news(job, event, &body));
    else
        mr_buf_deinit(&body);
}

void mr_job_cap_event(struct mr_job *job, const struct mr_cap_alert *alert)
{
    mr_observe(&job->engine->world.observe,
        &(struct mr_observation){.what = MR_OBSERVED_CAP, .job = &job->envelope, .alert = alert});
    const char *event = alert->reached ? "cap.reached" : "cap.warning";
    const char *period = alert->month ? "month" : "day";
    char id[MR_UUID_LEN], at[MR_TIME_LEN];
    mr_uuid_format(&job->envelope.id, id);
    mr_time_format(mr_engine_wall(job->engine), at);
    mr_log(job->engine->world.log, MR_WARN, event, MR_STR("tenant", job->envelope.tenant),
        MR_STR("period", period), MR_STR("job", id));
    struct mr_buf body = MR_BUF_INIT(4096);
    int r = mr_buf_printf(&body,
        "{\"v\":1,\"event\":\"%s\",\"tenant\":\"%s\",\"period\":\"%s\",\"job\":\"%s\","
        "\"pipeline\":\"%s\",\"at\":\"%s\"}",
        event, job->envelope.tenant, period, id, job->envelope.pipeline, at);
    struct mr_publish *publish = r == 0 ? news(job, event, &body) : NULL;
    if (publish) {
        publish->of_tenant = true;
        snprintf(publish->tenant, sizeof(publish->tenant), "%s", job->envelope.tenant);
    } else {
        mr_buf_deinit(&body);
    }
    send_news(job, publish);
}
