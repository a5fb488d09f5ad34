#include "worker/io/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct range {
    uint32_t network; /* host byte order */
    unsigned bits;
    const char *what;
};

/* IANA's special-purpose registry: what is not globally reachable. */
static const struct range forbidden4[] = {
    {0x00000000, 8, "this network"},
    {0x0a000000, 8, "private"},
    {0x64400000, 10, "carrier-grade NAT"},
    {0x7f000000, 8, "loopback"},
    {0xa9fe0000, 16, "link-local (cloud metadata)"},
    {0xac100000, 12, "private"},
    {0xc0000000, 24, "reserved"},
    {0xc0000200, 24, "documentation"},
    {0xc0586300, 24, "reserved"},
    {0xc0a80000, 16, "private"},
    {0xc6120000, 15, "benchmarking"},
    {0xc6336400, 24, "documentation"},
    {0xcb007100, 24, "documentation"},
    {0xe0000000, 4, "multicast"},
    {0xf0000000, 4, "reserved or broadcast"},
};

static const char *forbidden_v4(uint32_t address)
{
    for (size_t i = 0; i < sizeof(forbidden4) / sizeof(forbidden4[0]); i++) {
        uint32_t mask = ~(uint32_t)0 << (32 - forbidden4[i].bits);
        if ((address & mask) == forbidden4[i].network)
            return forbidden4[i].what;
    }
    return NULL;
}

static uint32_t embedded_v4(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool begins(const uint8_t *bytes, const uint8_t *prefix, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(bytes, prefix, whole) != 0)
        return false;
    return rest == 0 || (bytes[whole] ^ prefix[whole]) >> (8 - rest) == 0;
}

/* Only global unicast (2000::/3) is let through, without its special blocks, and addresses that
 * carry a public IPv4 one for NAT64. */
static const char *forbidden_v6(const uint8_t *a)
{
    static const struct {
        uint8_t prefix[16];
        unsigned bits;
        const char *what;
    } special[] = {
        {{0x20, 0x01, 0x0d, 0xb8}, 32, "documentation"},
        {{0x20, 0x01, 0x00}, 23, "reserved (Teredo, ORCHID)"},
        {{0x20, 0x02}, 16, "6to4"},
        {{0x3f, 0xff, 0x00}, 20, "documentation"},
        {{0xfc}, 7, "private"},
        {{0xfe, 0x80}, 10, "link-local"},
        {{0xfe, 0xc0}, 10, "private"},
        {{0xff}, 8, "multicast"},
    };
    static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t nat64[16] = {0x00, 0x64, 0xff, 0x9b};
    static const uint8_t zeros[16] = {0};
    static const uint8_t global[16] = {0x20};
    if (begins(a, mapped, 96) || begins(a, nat64, 96))
        return forbidden_v4(embedded_v4(a + 12));
    if (begins(a, zeros, 127))
        return "loopback";
    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
        if (begins(a, special[i].prefix, special[i].bits))
            return special[i].what;
    return begins(a, global, 3) ? NULL : "reserved";
}

const char *mr_address_forbidden(const struct sockaddr *address)
{
    switch (address->sa_family) {
    case AF_INET: {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof(in));
        return forbidden_v4(ntohl(in.sin_addr.s_addr));
    }
    case AF_INET6: {
        struct sockaddr_in6 in;
        memcpy(&in, address, sizeof(in));
        return forbidden_v6(in.sin6_addr.s6_addr);
    }
    default:
        return "no internet address";
    }
}

/* ---- exemptions ---- */

static void map_v4(const struct in_addr *in, uint8_t ret[16])
{
    memset(ret, 0, 10);
    ret[10] = ret[11] = 0xff;
    memcpy(ret + 12, in, 4);
}

/* "10.0.0.0/8", "::1". Returns false when it is no address. */
static bool parse_block(const char *text, struct mr_block *ret, bool *ret_bad)
{
    char address[64];
    struct in_addr in4;
    struct in6_addr in6;
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    if (n >= sizeof(address))
        return false;
    memcpy(address, text, n);
    address[n] = '\0';
    unsigned base = 0;
    if (inet_pton(AF_INET, address, &in4) == 1) {
        map_v4(&in4, ret->prefix);
        base = 96;
    } else if (inet_pton(AF_INET6, address, &in6) == 1) {
        memcpy(ret->prefix, &in6, 16);
    } else {
        return false;
    }
    ret->bits = 128;
    if (slash) {
        char *end;
        unsigned long bits = strtoul(slash + 1, &end, 10);
        *ret_bad = end == slash + 1 || *end != '\0' || bits > 128 - base;
        ret->bits = base + (unsigned)bits;
    }
    return true;
}

int mr_exempt_init(struct mr_exempt *ret, char *const *items, size_t count, struct mr_err *err)
{
    struct mr_exempt exempt = {.names = calloc(count + 1, sizeof(char *)),
        .blocks = calloc(count + 1, sizeof(struct mr_block))};
    int rc = exempt.names && exempt.blocks ? 0 : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        bool bad = false;
        if (parse_block(items[i], &exempt.blocks[exempt.nblocks], &bad))
            exempt.nblocks++;
        else if ((exempt.names[exempt.nnames] = strdup(items[i])))
            exempt.nnames++;
        else
            rc = -ENOMEM;
        if (bad)
            rc = -EINVAL;
        if (rc != 0)
            mr_err_set(
                err, rc, MR_CLASS_INVALID, "worker.fetch_allow: \"%s\" is no CIDR block", items[i]);
    }
    if (rc == 0)
        *ret = exempt;
    else
        mr_exempt_deinit(&exempt);
    return rc;
}

void mr_exempt_deinit(struct mr_exempt *exempt)
{
    for (size_t i = 0; i < exempt->nnames; i++)
        free(exempt->names[i]);
    free(exempt->names);
    free(exempt->blocks);
    *exempt = (struct mr_exempt){0};
}

bool mr_exempt_name(const struct mr_exempt *exempt, const char *host)
{
    for (size_t i = 0; i < exempt->nnames; i++)
        if (strcasecmp(exempt->names[i], host) == 0)
            return true;
    return false;
}

bool mr_exempt_address(const struct mr_exempt *exempt, const struct sockaddr *address)
{
    uint8_t bytes[16];
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof(in));
        map_v4(&in.sin_addr, bytes);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, address, sizeof(in));
        memcpy(bytes, &in.sin6_addr, 16);
    } else {
        return false;
    }
    for (size_t i = 0; i < exempt->nblocks; i++)
        if (begins(bytes, exempt->blocks[i].prefix, exempt->blocks[i].bits))
            return true;
    return false;
}
