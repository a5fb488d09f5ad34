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
    {"content_filter", MR_CLASS_REFUSED},
    {"content_policy_violation", MR_CLASS_REFUSED},
    {"overloaded_error", MR_CLASS_OVERLOADED},
    {"unavailable_error", MR_CLASS_OVERLOADED},
    {"rate_limit_error", MR_CLASS_RATE_LIMITED},
    {"rate_limit_exceeded", MR_CLASS_RATE_LIMITED},
    {"authentication_error", MR_CLASS_AUTH},
    {"permission_error", MR_CLASS_AUTH},
    {"invalid_api_key", MR_CLASS_AUTH},
    {"billing_error", MR_CLASS_AUTH},
};

/* Said in the message only: Anthropic reports a spend limit as a plain 400, others an empty purse
 * as a plain 429. */
static const char *const purse[] = {
    "credit balance is too low",
    "insufficient balance",
    "specified api usage limits",
    "exceeded your current quota",
    "spend limit",
};

static enum mr_class by_word(const char *s)
{
    for (size_t i = 0; s && i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(s, words[i].word) == 0)
            return words[i].class;
    return MR_CLASS_NONE;
}

static bool says_purse(const char *message)
{
    for (size_t i = 0; message && i < sizeof(purse) / sizeof(purse[0]); i++)
        if (strcasestr(message, purse[i]))
            return true;
    return false;
}

static enum mr_class by_status(int status)
{
    switch (status) {
    case 401:
    case 402:
    case 403:
        return MR_CLASS_AUTH;
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
    if (should_retry == 0 && (class == MR_CLASS_SERVER || class == MR_CLASS_OVERLOADED))
        return MR_CLASS_INVALID;
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
    bool may_be_purse = fault->status == 400 || fault->status == 403 || fault->status == 429;
    if (class != MR_CLASS_REFUSED && may_be_purse && says_purse(fault->message))
        class = MR_CLASS_QUOTA;
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
