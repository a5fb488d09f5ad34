/* Which network addresses a document may be fetched from: public unicast ones, and what the
 * operator has exempted. Judged on the address a socket is about to connect to, never on a name, so
 * that DNS rebinding, decimal, octal or hexadecimal spellings and mapped addresses gain nothing. */
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* NULL when the address is public; else what it is ("loopback", "private", "link-local", ...). */
const char *mr_address_forbidden(const struct sockaddr *address);

/* Exemptions: host names, addresses and CIDR blocks. */
struct mr_exempt {
    char **names;
    size_t nnames;
    struct mr_block {
        uint8_t prefix[16]; /* IPv4 as ::ffff:a.b.c.d */
        unsigned bits;
    } * blocks;
    size_t nblocks;
};

/* Every item is a CIDR block, an address, or else a host name. 0, -EINVAL, -ENOMEM. */
int mr_exempt_init(
    struct mr_exempt *ret, char *const *items, size_t count, struct mr_err *err) MR_CHECK;
void mr_exempt_deinit(struct mr_exempt *exempt);
bool mr_exempt_name(const struct mr_exempt *exempt, const char *host);
bool mr_exempt_address(const struct mr_exempt *exempt, const struct sockaddr *address);
