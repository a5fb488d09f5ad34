#include "worker/providers/classify.h"

#include <string.h>
#include <strings.h>

/* Words in error.type, error.code or error.details.error_code that mean the same at any status. */
static const struct {
    const char *word;
    enum mr_class class;
} words[] = {
    {"insufficient_quota", MR_CLASS_QUOTA},
    {"credit_balance_exhausted", MR_CLASS_QUOTA},
    {"organization_spend_limit_exceeded", MR_CLASS_QUOTA},
    {"project_spend_limit_exceeded", MR_CLASS_QUOTA},
    {"organization_usage_limit_exceeded", MR_CLASS_QUOTA},
    {"billing_hard_limit_reached", MR_CLASS_QUOTA},
    {"enforced_spend_limit_reached", MR_CLASS_QUOTA},
    {"billing_error", MR_CLASS_QUOTA},
    {"billing_not_active", MR_CLASS_QUOTA},
    {"access_terminated", MR_CLASS_AUTH},
    {"authentication_error", MR_CLASS_AUTH},
    {"permission_error", MR_CLASS_AUTH},
    {"permission_denied", MR_CLASS_AUTH},
    {"unauthenticated", MR_CLASS_AUTH},
    {"invalid_api_key", MR_CLASS_AUTH},
    {"content_filter", MR_CLASS_REFUSED},
    {"content_policy_violation", MR_CLASS_REFUSED},
    {"invalid_prompt", MR_CLASS_REFUSED},
    {"json_validate_failed", MR_CLASS_BAD_OUTPUT}, /* Groq: what the model wrote is no JSON */
    {"tool_use_failed", MR_CLASS_BAD_OUTPUT},
    {"context_length_exceeded", MR_CLASS_INVALID},
    {"exceed_context_size_error", MR_CLASS_INVALID},
    {"overloaded_error", MR_CLASS_OVERLOADED},
    {"unavailable_error", MR_CLASS_OVERLOADED},
    {"unavailable", MR_CLASS_OVERLOADED},
    {"engine_overloaded", MR_CLASS_OVERLOADED},
    {"rate_limit_error", MR_CLASS_RATE_LIMITED},
    {"rate_limit_exceeded", MR_CLASS_RATE_LIMITED},
    {"resource_exhausted", MR_CLASS_RATE_LIMITED},
    {"slow_down", MR_CLASS_RATE_LIMITED},
};

/* Said in the message only: Anthropic reports a spend limit as a plain 400, others an empty purse
 * as a plain 429. Google says the same of a minute's limit, but adds when to come back. */
static const char *const purse[] = {"credit balance is too low", "insufficient balance",
    "insufficient credits", "reached your api usage limits", "specified api usage limits",
    "specified workspace api usage limits", "exceeded your current quota", "spend limit",
    "spending limit", NULL};
static const char *const later[] = {"retry in", "try again in", "per minute", NULL};

static const char *const bad_key[] = {"api key not valid", "api key expired", NULL};

static const char *const filtered[] = {"blocked by content filtering", NULL};

/* A request that is larger than the limit of a whole minute is never let through. */
static const char *const never_fits[] = {"request too large for", NULL};

static const char *const too_long[] = {"maximum context length", "prompt is too long",
    "context window", "context limit", "available context size", "exceeds the context",
    "exceeds the maximum number of tokens", "reduce the length", "too many input tokens", NULL};

static enum mr_class by_word(const char *s)
{
    for (size_t i = 0; s && i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(s, words[i].word) == 0)
            return words[i].class;
    return MR_CLASS_NONE;
}

static bool says(const char *message, const char *const *phrases)
{
    for (; message && *phrases; phrases++)
        if (strcasestr(message, *phrases))
            return true;
    return false;
}

/* What the message says and neither status nor words do. */
static enum mr_class by_message(const struct mr_fault *fault)
{
    const char *message = fault->message;
    int status = fault->status;
    if ((status == 413 || status == 429) && says(message, never_fits))
        return MR_CLASS_INVALID;
    if ((status == 400 || status == 403 || status == 429) && says(message, purse) &&
        !says(message, later))
        return MR_CLASS_QUOTA;
    if (status == 400 && says(message, bad_key))
        return MR_CLASS_AUTH;
    if (status == 400 && says(message, filtered))
        return MR_CLASS_REFUSED;
    return MR_CLASS_NONE;
}

bool mr_classify_too_long(const struct mr_fault *fault)
{
    const char *said[] = {fault->code, fault->type};
    for (size_t i = 0; i < 2; i++)
        if (said[i] && (strcasecmp(said[i], "context_length_exceeded") == 0 ||
                           strcasecmp(said[i], "exceed_context_size_error") == 0))
            return true;
    return fault->status == 413 || says(fault->message, never_fits) ||
           says(fault->message, too_long);
}

static enum mr_class by_status(int status)
{
    switch (status) {
    case 401:
    case 403:
        return MR_CLASS_AUTH;
    case 402:
        return MR_CLASS_QUOTA;
    case 429:
        return MR_CLASS_RATE_LIMITED;
    case 425:
    case 498: /* Groq: flex capacity exceeded */
    case 503:
    case 529:
        return MR_CLASS_OVERLOADED;
    case 408:
    case 409:
    case 499:
        return MR_CLASS_SERVER;
    case 501:
        return MR_CLASS_INVALID;
    default:
        /* A redirect is a wrong base_url: it would not get better by asking again. */
        return status >= 300 && status < 500 ? MR_CLASS_INVALID : MR_CLASS_SERVER;
    }
}

/* x-should-retry wins over what the status suggests, but never over a matter of money or keys. */
static enum mr_class overruled(enum mr_class class, int should_retry)
{
    if (should_retry == 1 && class == MR_CLASS_INVALID)
        return MR_CLASS_SERVER;
    if (should_retry == 0 && class == MR_CLASS_RATE_LIMITED)
        return MR_CLASS_QUOTA;
    return class;
}

static enum mr_class by_reply(const struct mr_fault *fault)
{
    if (fault->unreadable)
        return fault->page ? MR_CLASS_SERVER : MR_CLASS_AMBIGUOUS;
    const char *said[] = {fault->detail, fault->code, fault->type};
    enum mr_class class = MR_CLASS_NONE;
    for (size_t i = 0; i < 3 && class == MR_CLASS_NONE; i++)
        class = by_word(said[i]);
    enum mr_class meant = class == MR_CLASS_REFUSED ? MR_CLASS_NONE : by_message(fault);
    if (meant != MR_CLASS_NONE)
        class = meant;
    if (class == MR_CLASS_NONE)
        class = by_status(fault->status);
    return overruled(class, fault->should_retry);
}

enum mr_class mr_classify(const struct mr_fault *fault)
{
    switch (fault->transport) {
    case MR_TRANSPORT_OK:
        return by_reply(fault);
    case MR_TRANSPORT_NOT_SENT:
        return MR_CLASS_NETWORK;
    case MR_TRANSPORT_AMBIGUOUS:
    case MR_TRANSPORT_ABORTED:
        return MR_CLASS_AMBIGUOUS;
    case MR_TRANSPORT_LOCAL:
        break;
    }
    return MR_CLASS_INTERNAL;
}

bool mr_classify_leave(const struct mr_fault *fault)
{
    enum mr_class class = mr_classify(fault);
    return fault->should_retry == 0 && (class == MR_CLASS_SERVER || class == MR_CLASS_OVERLOADED);
}

bool mr_classify_unsure(const struct mr_fault *fault)
{
    bool timeout = fault->status == 408 || fault->status == 504 || fault->status == 524;
    return timeout && mr_classify(fault) == MR_CLASS_SERVER;
}
