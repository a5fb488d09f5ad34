/* What the cases of routes share: a step whose model has two endpoints, and may have a fallback. */
#pragma once

#include "tests/unit/engine/fake.h"

static struct fake fake;

#define WALL INT64_C(1790000000000)

/* The alias m answers at two endpoints of p; then there is the provider q. */
static const char two_providers[] =
    "providers: ({ name = \"p\"; kind = \"openai\"; endpoints = (\n"
    "    { name = \"a\"; base_url = \"http://127.0.0.1:1/v1\"; health = \"/models\"; },\n"
    "    { name = \"b\"; base_url = \"http://127.0.0.1:2/v1\"; }); },\n"
    "  { name = \"q\"; kind = \"openai\"; base_url = \"http://127.0.0.1:3/v1\"; });\n";
static const char models[] = "models: ({ alias = \"m\"; provider = \"p\"; model = \"m-1\"; %s },\n"
                             "  { alias = \"n\"; provider = \"q\"; model = \"n-1\"; });\n";

static inline void init(const char *more)
{
    char text[2048];
    size_t n = (size_t)snprintf(text, sizeof(text), "%s", two_providers);
    snprintf(text + n, sizeof(text) - n, models, more);
    fake_init_bare(&fake, text);
}

static inline void start(const char *pipeline, bool fallback)
{
    init(fallback ? "fallback = [\"n\"];" : "");
    fake_deliver(&fake, 1, 10, pipeline, "");
    fake_claimed(&fake, MR_VERDICT_RUN, NULL);
}

/* Comes home with what the database knows of the step. */
static inline void come_home(const char *known)
{
    init("");
    fake_deliver(&fake, 1, 10, "hard", "");
    fake_claimed(&fake, MR_VERDICT_RUN, known);
}

/* Lets the call go, and answers it with this status. */
static inline void answer(int status)
{
    fake_committed(&fake, MR_VERDICT_OK);
    fake_replied(&fake, status, status == 200 ? fake_good_body : "{}");
}

static inline const struct mr_call_row *begun(void)
{
    CHECK_INT(fake_commit(&fake)->nbegins, 1);
    return fake_commit(&fake)->begins[0];
}

/* Through the tries the table gives one endpoint. */
static inline void use_up(int status, int tries)
{
    size_t calls = fake.ncalls;
    for (int i = 0; i < tries; i++) {
        if (i > 0) {
            fake_committed(&fake, MR_VERDICT_OK);
            fake_pass(&fake, 30000);
        }
        answer(status);
    }
    CHECK_INT(fake.ncalls, calls + (size_t)tries);
}
