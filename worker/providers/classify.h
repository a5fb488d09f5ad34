/* The one function that says what kind of failure a reply is (docs/architecture.md, "Errors").
 * Pure. */
#pragma once

#include "worker/engine/world.h"

/* What is known of a failed call. Strings are borrowed; NULL = the provider did not say. */
struct mr_fault {
    enum mr_transport transport;
    int status;          /* HTTP; 0 = none */
    const char *type;    /* error.type, or Google's error.status */
    const char *code;    /* error.code as text, also when it came as a number */
    const char *detail;  /* error.details.error_code */
    const char *message; /* the provider's words */
    bool page;           /* the body is a proxy's HTML page */
    bool unreadable;     /* a success whose body is not what the API promises */
    int should_retry;    /* x-should-retry: 1, 0, -1 = none */
};

/* Never MR_CLASS_NONE: call it only for a failure. LOCAL failures bring their own class. */
enum mr_class mr_classify(const struct mr_fault *fault);

/* Whether the provider does not want to be asked again (x-should-retry: false on a failure of its
 * own): the next route is tried at once. */
bool mr_classify_leave(const struct mr_fault *fault);

/* Whether the request may have been worked on, and billed, although it failed: whoever passed it
 * on has stopped waiting for the answer. */
bool mr_classify_unsure(const struct mr_fault *fault);

/* Whether the request was refused for its length: what its owner can do about that is known. */
bool mr_classify_too_long(const struct mr_fault *fault);
