#include "tests/unit/test.h"
#include "worker/engine/job.h"

#define SLOTS 1000

static struct mr_delivery *delivery(enum mr_lane lane, uint64_t tag)
{
    struct mr_delivery *d = calloc(1, sizeof(*d));
    d->lane = lane;
    d->tag = tag;
    d->session = tag % 2;
    d->arrived_ms = (int64_t)tag;
    return d;
}

static int pop_lane_of(struct mr_lanes *lanes, int slots, int reserved)
{
    struct mr_delivery *d = mr_lanes_pop(lanes, slots, reserved);
    int lane = d ? (int)d->lane : -1;
    mr_delivery_free(d);
    return lane;
}

static int pop_lane(struct mr_lanes *lanes, int reserved)
{
    return pop_lane_of(lanes, SLOTS, reserved);
}

static void empty(struct mr_lanes *lanes)
{
    while (pop_lane(lanes, 0) >= 0)
        ;
    mr_lanes_deinit(lanes);
}

static void push(struct mr_lanes *lanes, struct mr_delivery *d)
{
    CHECK_INT(mr_lanes_push(lanes, d), 0);
}

static void high_goes_first(void)
{
    struct mr_lanes lanes = {0};
    push(&lanes, delivery(MR_LANE_LOW, 1));
    push(&lanes, delivery(MR_LANE_NORMAL, 2));
    push(&lanes, delivery(MR_LANE_HIGH, 3));
    CHECK_INT(pop_lane(&lanes, 0), MR_LANE_HIGH);
    CHECK_INT(pop_lane(&lanes, 0), MR_LANE_NORMAL);
    CHECK_INT(pop_lane(&lanes, 0), MR_LANE_LOW);
    CHECK_INT(pop_lane(&lanes, 0), -1);
    mr_lanes_deinit(&lanes);
}

static void a_lane_is_first_in_first_out(void)
{
    struct mr_lanes lanes = {0};
    for (uint64_t tag = 1; tag <= 3; tag++)
        push(&lanes, delivery(MR_LANE_NORMAL, tag));
    for (uint64_t tag = 1; tag <= 3; tag++) {
        struct mr_delivery *d = mr_lanes_pop(&lanes, SLOTS, 20);
        CHECK_INT(d->tag, tag);
        mr_delivery_free(d);
    }
    mr_lanes_deinit(&lanes);
}

static void the_readmitted_go_in_front(void)
{
    struct mr_lanes lanes = {0};
    static const uint64_t pushed[] = {5, 9, 4, 3, 7, 10};
    static const uint64_t popped[] = {3, 4, 5, 7, 9, 10};
    for (size_t i = 0; i < 6; i++)
        push(&lanes, delivery(MR_LANE_LOW, pushed[i]));
    for (size_t i = 0; i < 6; i++) {
        struct mr_delivery *d = mr_lanes_pop(&lanes, SLOTS, 20);
        CHECK_INT(d->tag, popped[i]);
        mr_delivery_free(d);
    }
    CHECK(!lanes.lanes[MR_LANE_LOW].tail);
    mr_lanes_deinit(&lanes);
}

static void lower_lanes_get_their_share(void)
{
    struct mr_lanes lanes = {0};
    size_t got[MR_LANE_COUNT] = {0};
    for (uint64_t tag = 1; tag <= 1000; tag++)
        for (int lane = 0; lane < MR_LANE_COUNT; lane++)
            push(&lanes, delivery((enum mr_lane)lane, tag));
    for (int i = 0; i < 1000; i++)
        got[pop_lane(&lanes, 20)]++;
    /* a fifth of a high start is owed to those below, a fifth of theirs to the lowest */
    CHECK(got[MR_LANE_HIGH] > 820 && got[MR_LANE_HIGH] < 840);
    CHECK(got[MR_LANE_LOW] > 20 && got[MR_LANE_LOW] < 40);
    empty(&lanes);
}

static void a_lone_lane_owes_nothing(void)
{
    struct mr_lanes lanes = {0};
    for (uint64_t tag = 1; tag <= 100; tag++)
        push(&lanes, delivery(MR_LANE_HIGH, tag));
    while (pop_lane(&lanes, 20) >= 0)
        CHECK_INT(lanes.lanes[MR_LANE_HIGH].credit, 0);
    mr_lanes_deinit(&lanes);
}

static void the_old_are_taken_out(void)
{
    struct mr_lanes lanes = {0};
    for (uint64_t tag = 1; tag <= 4; tag++)
        push(&lanes, delivery(MR_LANE_LOW, tag));
    for (uint64_t tag = 1; tag <= 2; tag++) {
        struct mr_delivery *d = mr_lanes_take_older(&lanes, 3);
        CHECK_INT(d->tag, tag);
        mr_delivery_free(d);
    }
    CHECK(mr_lanes_take_older(&lanes, 3) == NULL);
    CHECK_INT(mr_lanes_count(&lanes), 2);
    empty(&lanes);
}

static void a_lost_session_takes_its_own(void)
{
    struct mr_lanes lanes = {0};
    for (uint64_t tag = 1; tag <= 5; tag++)
        push(&lanes, delivery(MR_LANE_NORMAL, tag));
    mr_lanes_drop_session(&lanes, 1); /* tags 1, 3, 5: head, middle and tail */
    CHECK_INT(mr_lanes_count(&lanes), 2);
    push(&lanes, delivery(MR_LANE_NORMAL, 6));
    for (uint64_t tag = 2; tag <= 6; tag += 2) {
        struct mr_delivery *d = mr_lanes_pop(&lanes, SLOTS, 20);
        CHECK_INT(d->tag, tag);
        mr_delivery_free(d);
    }
    mr_lanes_deinit(&lanes);
}

/* ---- tenants ---- */

static void of_tenant(struct mr_lanes *lanes, const char *tenant, uint64_t tag)
{
    struct mr_delivery *d = delivery(MR_LANE_NORMAL, tag);
    snprintf(d->tenant, sizeof(d->tenant), "%s", tenant);
    push(lanes, d);
}

/* Starts the next one; its line, and in name the tenant's. NULL: nothing may start. */
static struct mr_line *start(struct mr_lanes *lanes, int slots, char name[static MR_NAME_MAX + 1])
{
    struct mr_delivery *d = mr_lanes_pop(lanes, slots, 20);
    if (!d)
        return NULL;
    struct mr_line *line = mr_lanes_started(lanes, d);
    CHECK(line);
    snprintf(name, MR_NAME_MAX + 1, "%s", d->tenant);
    mr_delivery_free(d);
    return line;
}

static void the_one_with_fewest_running_is_next(void)
{
    struct mr_lanes lanes = {0};
    struct mr_line *flood[100], *quiet[20];
    char name[MR_NAME_MAX + 1];
    for (uint64_t tag = 0; tag < 200; tag++)
        of_tenant(&lanes, "flood", tag);
    for (int i = 0; i < 100; i++)
        CHECK((flood[i] = start(&lanes, SLOTS, name)));
    for (uint64_t tag = 200; tag < 220; tag++)
        of_tenant(&lanes, "quiet", tag);
    for (int i = 0; i < 20; i++) { /* all of them before one more of the other */
        CHECK((quiet[i] = start(&lanes, SLOTS, name)));
        CHECK_STR(name, "quiet");
    }
    CHECK(start(&lanes, SLOTS, name) == flood[0]);
    mr_lanes_ended(&lanes, flood[0]);
    for (int i = 0; i < 100; i++)
        mr_lanes_ended(&lanes, flood[i]);
    for (int i = 0; i < 20; i++)
        mr_lanes_ended(&lanes, quiet[i]);
    empty(&lanes);
}

static void equals_take_turns(void)
{
    static const char *const names[] = {"a", "b", "c"};
    struct mr_lanes lanes = {0};
    char name[MR_NAME_MAX + 1];
    for (uint64_t tag = 0; tag < 9; tag++) /* all of a first, then b, then c */
        of_tenant(&lanes, names[tag / 3], tag);
    for (int i = 0; i < 9; i++) { /* each ends before the next starts: all run none */
        struct mr_line *line = start(&lanes, SLOTS, name);
        CHECK_STR(name, names[i % 3]);
        mr_lanes_ended(&lanes, line);
    }
    mr_lanes_deinit(&lanes);
}

static void a_tenant_is_first_in_first_out(void)
{
    struct mr_lanes lanes = {0};
    for (uint64_t tag = 1; tag <= 6; tag++)
        of_tenant(&lanes, tag % 2 ? "a" : "b", tag);
    of_tenant(&lanes, "a", 0); /* let in again */
    uint64_t last_a = 0, last_b = 0;
    for (int i = 0; i < 7; i++) {
        struct mr_delivery *d = mr_lanes_pop(&lanes, SLOTS, 20);
        uint64_t *last = d->tenant[0] == 'a' ? &last_a : &last_b;
        CHECK(d->tag >= *last);
        *last = d->tag;
        mr_delivery_free(d);
    }
    CHECK_INT(last_a, 5);
    CHECK_INT(last_b, 6);
    mr_lanes_deinit(&lanes);
}

static void nobody_runs_more_than_its_share(void)
{
    struct mr_lanes lanes = {0};
    struct mr_line *running[10];
    char name[MR_NAME_MAX + 1];
    for (uint64_t tag = 0; tag < 20; tag++)
        of_tenant(&lanes, "flood", tag);
    for (int i = 0; i < 6; i++) /* of 10 slots, in the normal lane */
        CHECK((running[i] = start(&lanes, 10, name)));
    CHECK(!start(&lanes, 10, name));
    of_tenant(&lanes, "quiet", 20);
    CHECK((running[6] = start(&lanes, 10, name)));
    CHECK_STR(name, "quiet");
    mr_lanes_ended(&lanes, running[6]);
    push(&lanes, delivery(MR_LANE_LOW, 21)); /* what may not start is nobody's to wait for */
    CHECK_INT(pop_lane_of(&lanes, 10, 20), MR_LANE_LOW);
    mr_lanes_ended(&lanes, running[0]);
    CHECK((running[0] = start(&lanes, 10, name)));
    CHECK_STR(name, "flood");
    for (int i = 0; i < 6; i++)
        mr_lanes_ended(&lanes, running[i]);
    empty(&lanes);
}

static void a_full_lane_owes_nothing(void)
{
    struct mr_lanes lanes = {0};
    struct mr_line *running[6];
    char name[MR_NAME_MAX + 1];
    for (uint64_t tag = 0; tag < 20; tag++)
        of_tenant(&lanes, "flood", tag);
    for (int i = 0; i < 6; i++)
        CHECK((running[i] = start(&lanes, 10, name)));
    for (uint64_t tag = 20; tag < 40; tag++)
        push(&lanes, delivery(MR_LANE_HIGH, tag));
    for (int i = 0; i < 20; i++) /* no start is left to those who cannot use it */
        CHECK_INT(pop_lane_of(&lanes, 10, 90), MR_LANE_HIGH);
    for (int i = 0; i < 6; i++)
        mr_lanes_ended(&lanes, running[i]);
    empty(&lanes);
}

static void many_tenants_share_evenly(void)
{
    enum { TENANTS = 300, EACH = 5 };
    struct mr_lanes lanes = {0};
    static struct mr_line *running[TENANTS * EACH];
    char name[MR_NAME_MAX + 1];
    int seen[TENANTS] = {0};
    for (int i = 0; i < TENANTS * EACH; i++) {
        snprintf(name, sizeof(name), "%d", i / EACH);
        of_tenant(&lanes, name, (uint64_t)i);
    }
    for (int i = 0; i < TENANTS * EACH; i++) { /* round by round: nobody is ahead by two */
        CHECK((running[i] = start(&lanes, 10000, name)));
        CHECK_INT(seen[strtol(name, NULL, 10)]++, i / TENANTS);
    }
    for (int i = 0; i < TENANTS * EACH; i++)
        mr_lanes_ended(&lanes, running[i]);
    mr_lanes_deinit(&lanes);
}

static void shares(void)
{
    CHECK_INT(mr_lanes_share(MR_LANE_HIGH, 256), 256);
    CHECK_INT(mr_lanes_share(MR_LANE_NORMAL, 256), 154);
    CHECK_INT(mr_lanes_share(MR_LANE_LOW, 256), 52);
    CHECK_INT(mr_lanes_share(MR_LANE_LOW, 1), 1);
}

TEST_MAIN(TEST(high_goes_first), TEST(a_lane_is_first_in_first_out),
    TEST(the_readmitted_go_in_front), TEST(lower_lanes_get_their_share),
    TEST(a_lone_lane_owes_nothing), TEST(the_old_are_taken_out), TEST(a_lost_session_takes_its_own),
    TEST(the_one_with_fewest_running_is_next), TEST(equals_take_turns),
    TEST(a_tenant_is_first_in_first_out), TEST(nobody_runs_more_than_its_share),
    TEST(a_full_lane_owes_nothing), TEST(many_tenants_share_evenly), TEST(shares))
