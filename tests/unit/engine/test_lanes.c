#include "tests/unit/test.h"
#include "worker/engine/job.h"

static struct mr_delivery *delivery(enum mr_lane lane, uint64_t tag)
{
    struct mr_delivery *d = calloc(1, sizeof(*d));
    d->lane = lane;
    d->tag = tag;
    d->session = tag % 2;
    d->arrived_ms = (int64_t)tag;
    return d;
}

static int pop_lane(struct mr_lanes *lanes, int reserved)
{
    struct mr_delivery *d = mr_lanes_pop(lanes, reserved);
    int lane = d ? (int)d->lane : -1;
    mr_delivery_free(d);
    return lane;
}

static void empty(struct mr_lanes *lanes)
{
    while (pop_lane(lanes, 0) >= 0)
        ;
}

static void high_goes_first(void)
{
    struct mr_lanes lanes = {0};
    mr_lanes_push(&lanes, delivery(MR_LANE_LOW, 1));
    mr_lanes_push(&lanes, delivery(MR_LANE_NORMAL, 2));
    mr_lanes_push(&lanes, delivery(MR_LANE_HIGH, 3));
    CHECK_INT(pop_lane(&lanes, 0), MR_LANE_HIGH);
    CHECK_INT(pop_lane(&lanes, 0), MR_LANE_NORMAL);
    CHECK_INT(pop_lane(&lanes, 0), MR_LANE_LOW);
    CHECK_INT(pop_lane(&lanes, 0), -1);
}

static void a_lane_is_first_in_first_out(void)
{
    struct mr_lanes lanes = {0};
    for (uint64_t tag = 1; tag <= 3; tag++)
        mr_lanes_push(&lanes, delivery(MR_LANE_NORMAL, tag));
    for (uint64_t tag = 1; tag <= 3; tag++) {
        struct mr_delivery *d = mr_lanes_pop(&lanes, 20);
        CHECK_INT(d->tag, tag);
        mr_delivery_free(d);
    }
}

static void the_readmitted_go_in_front(void)
{
    struct mr_lanes lanes = {0};
    static const uint64_t pushed[] = {5, 9, 4, 3, 7, 10};
    static const uint64_t popped[] = {3, 4, 5, 7, 9, 10};
    for (size_t i = 0; i < 6; i++)
        mr_lanes_push(&lanes, delivery(MR_LANE_LOW, pushed[i]));
    for (size_t i = 0; i < 6; i++) {
        struct mr_delivery *d = mr_lanes_pop(&lanes, 20);
        CHECK_INT(d->tag, popped[i]);
        mr_delivery_free(d);
    }
    CHECK(!lanes.tail[MR_LANE_LOW]);
}

static void lower_lanes_get_their_share(void)
{
    struct mr_lanes lanes = {0};
    size_t got[MR_LANE_COUNT] = {0};
    for (uint64_t tag = 1; tag <= 1000; tag++)
        for (int lane = 0; lane < MR_LANE_COUNT; lane++)
            mr_lanes_push(&lanes, delivery((enum mr_lane)lane, tag));
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
        mr_lanes_push(&lanes, delivery(MR_LANE_HIGH, tag));
    while (pop_lane(&lanes, 20) >= 0)
        CHECK_INT(lanes.credit[MR_LANE_HIGH], 0);
}

static void the_old_are_taken_out(void)
{
    struct mr_lanes lanes = {0};
    for (uint64_t tag = 1; tag <= 4; tag++)
        mr_lanes_push(&lanes, delivery(MR_LANE_LOW, tag));
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
        mr_lanes_push(&lanes, delivery(MR_LANE_NORMAL, tag));
    mr_lanes_drop_session(&lanes, 1); /* tags 1, 3, 5: head, middle and tail */
    CHECK_INT(mr_lanes_count(&lanes), 2);
    mr_lanes_push(&lanes, delivery(MR_LANE_NORMAL, 6));
    for (uint64_t tag = 2; tag <= 6; tag += 2) {
        struct mr_delivery *d = mr_lanes_pop(&lanes, 20);
        CHECK_INT(d->tag, tag);
        mr_delivery_free(d);
    }
}

TEST_MAIN(TEST(high_goes_first), TEST(a_lane_is_first_in_first_out),
    TEST(the_readmitted_go_in_front), TEST(lower_lanes_get_their_share),
    TEST(a_lone_lane_owes_nothing), TEST(the_old_are_taken_out), TEST(a_lost_session_takes_its_own))
