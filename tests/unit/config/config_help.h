/* Writing a configuration into the case's own folder and loading it. */
#pragma once

#include "common/config.h"
#include "tests/unit/test.h"

static inline void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    CHECK(f);
    CHECK(fputs(text, f) >= 0);
    CHECK_INT(fclose(f), 0);
}

static inline struct mr_config *load_text(const char *text)
{
    struct mr_config *config = NULL;
    struct mr_err err = {0};

    put_file("t.cfg", text);
    if (mr_config_load("t.cfg", &config, &err) < 0) {
        fprintf(stderr, "# %s\n", err.msg);
        abort();
    }
    return config;
}

/* The error must contain `part`. */
static inline void refuse_text(const char *text, const char *part)
{
    struct mr_config *config = NULL;
    struct mr_err err = {0};

    put_file("t.cfg", text);
    CHECK(mr_config_load("t.cfg", &config, &err) < 0);
    CHECK(!config);
    if (!strstr(err.msg, part)) {
        fprintf(stderr, "# \"%s\" lacks \"%s\"\n", err.msg, part);
        abort();
    }
}
