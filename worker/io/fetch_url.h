/* What a URL must look like to be fetched at all. */
#pragma once

#include "worker/io/address.h"

struct mr_fetch_rules {
    bool http; /* http:// besides https:// */
    struct mr_exempt exempt;
};

/* 0 and whether the host is exempt from the address rules, or -EINVAL with err. */
int mr_fetch_url_check(const struct mr_fetch_rules *rules, const char *url, bool *ret_exempt,
    struct mr_err *err) MR_CHECK;

/* Lower-case extension of the URL's path: at most size-1 letters and digits, else "". */
void mr_fetch_url_ext(const char *url, char *ret, size_t size);
