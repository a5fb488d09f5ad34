/* Where calls go: providers with their endpoints, and the models that steps name by an alias. Parts
 * of a configuration, and as immutable as it is. */
#pragma once

#include "common/secret.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct mr_custom; /* common/custom.h */
struct mr_expr;   /* common/expr.h */
struct mr_expr_vars;

struct mr_strv { /* list of strings, owned */
    char **items;
    size_t count;
};

enum mr_provider_kind {
    MR_PROVIDER_LOCAL,
    MR_PROVIDER_OPENAI,
    MR_PROVIDER_ANTHROPIC,
    MR_PROVIDER_CUSTOM,
};

struct mr_provider;

/* One place where a provider answers: an address and the credential for it. */
struct mr_endpoint {
    const struct mr_provider *provider; /* borrowed from the same snapshot */
    char *name;                         /* unique within its provider; its only one has its name */
    char *base_url;                     /* NULL for local; without a trailing slash */
    char *key_file, *key_env;           /* where the key comes from; at most one */
    struct mr_secret *key; /* loaded by mr_config_load_keys; NULL = no Authorization header */
    int connect_timeout_ms;
    char *ca_file; /* private CA, or NULL for the system's */
    char *region;  /* compared with worker.region; NULL = none */
    int weight;    /* 1...; calls in flight are shared out in proportion */
    char *health;  /* path that is asked while the breaker is open; NULL = none */
};

struct mr_provider {
    char *name;
    enum mr_provider_kind kind;
    struct mr_custom *custom;      /* kind custom only: common/custom.h; owned */
    struct mr_endpoint *endpoints; /* at least one */
    size_t nendpoints;
};

struct mr_model {
    char *alias;
    const struct mr_provider *provider; /* borrowed from the same snapshot */
    char *model;                        /* the provider's name for it */
    json_t
        *params; /* object: extra request parameters (temperature, ...), sent only if in accepts */
    struct mr_strv accepts; /* parameter allow-list; the codec's default when empty */
    struct mr_rule *rules;  /* see mr_model_choose */
    size_t nrules;
    const struct mr_model **fallback; /* asked in this order when this one fails; borrowed items.
                                         Their own fallbacks are not followed */
    size_t nfallback;
    /* What the provider allows one key for this model; shared by the fleet. 0 = not known. */
    int rpm;         /* requests a minute */
    int64_t tpm;     /* tokens a minute, prompt and output */
    int concurrency; /* calls at once */
};

/* "when <condition> use <model>" */
struct mr_rule {
    char *when;
    struct mr_expr *condition; /* `when`, compiled */
    const struct mr_model *use;
};

/* The model that a call of this one goes to: the first rule whose condition holds names another,
 * and so on (configurations in which that goes in a circle are refused). *ret_rule is the last rule
 * taken, NULL when there was none. */
const struct mr_model *mr_model_choose(
    const struct mr_model *model, const struct mr_expr_vars *vars, const struct mr_rule **ret_rule);
