#include "tests/unit/test.h"
#include "worker/monitor/health.h"

static const struct mr_health_facts fine = {
    .started = true,
    .broker_connected = true,
    .publisher_connected = true,
    .queues = 24,
    .consuming = 24,
    .database_connected = true,
    .endpoints = 2,
    .open = 1,
};

/* want: the reasons, one after the other; "": ready. */
static void check(struct mr_health_facts facts, const char *want)
{
    bool ready;
    char got[1024] = "";
    json_t *value = mr_health_ready(&facts, &ready), *reason;
    size_t i;
    CHECK(value);
    json_array_foreach(json_object_get(value, "reasons"), i, reason)
    {
        size_t n = strlen(got);
        snprintf(got + n, sizeof(got) - n, "%s%s", i ? "; " : "", json_string_value(reason));
    }
    CHECK_STR(got, want);
    CHECK(ready == !*want);
    CHECK(json_is_true(json_object_get(value, "ready")) == ready);
    json_decref(value);
}

static void ready(void)
{
    check(fine, "");
    struct mr_health_facts facts = fine;
    facts.open = facts.endpoints = 0; /* only the local provider */
    check(facts, "");
    facts.database_silent_ms = 4999;
    facts.database_waiting = 100;
    check(facts, "");
}

static void starting(void)
{
    check((struct mr_health_facts){0}, "starting: the database has not been reached yet");
    check((struct mr_health_facts){.draining = true}, "draining");
}

static void draining(void)
{
    struct mr_health_facts facts = fine;
    facts.draining = true;
    facts.consuming = 0; /* that is what draining is */
    check(facts, "draining");
    facts.database_connected = false;
    check(facts, "draining; database: not connected");
}

static void broker(void)
{
    struct mr_health_facts facts = fine;
    facts.broker_connected = facts.publisher_connected = false;
    facts.consuming = 0;
    check(facts, "broker: not connected; broker: the publisher is not connected");
    facts.broker_connected = facts.publisher_connected = true;
    facts.consuming = 23;
    check(facts, "broker: takes jobs from 23 of 24 queues");
    facts.consuming = 24;
    facts.broker_blocked = true;
    check(facts, "broker: takes no messages (memory or disk alarm)");
}

static void database(void)
{
    struct mr_health_facts facts = fine;
    facts.database_connected = false;
    check(facts, "database: not connected");
    facts.database_connected = true;
    facts.database_silent_ms = 7999;
    check(facts, "database: no answer for 7 s");
}

static void providers(void)
{
    struct mr_health_facts facts = fine;
    facts.open = 2;
    check(facts, "providers: every endpoint's breaker is open");
}

TEST_MAIN(
    TEST(ready), TEST(starting), TEST(draining), TEST(broker), TEST(database), TEST(providers))
