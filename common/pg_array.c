/* Arrays as PostgreSQL's array_send writes them: dimensions, has-null flag, element type, one
 * dimension with its length and lower bound, then each item as length and bytes. All big-endian. */
#include "common/pg.h"

#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#define HEADER 20

void mr_pg_array_init(struct mr_pg_array *array, uint32_t element_oid)
{
    *array = (struct mr_pg_array){.oid = element_oid};
    mr_buf_init(&array->buf, MR_PG_ARRAY_MAX);
}

void mr_pg_array_reset(struct mr_pg_array *array)
{
    mr_buf_reset(&array->buf);
    array->count = 0;
    array->has_null = false;
}

void mr_pg_array_deinit(struct mr_pg_array *array)
{
    mr_buf_deinit(&array->buf);
}

/* Appends an item of `prefix` and `bytes`, and before the first one room for the header. */
static int put(
    struct mr_pg_array *array, const void *prefix, size_t nprefix, const void *bytes, size_t n)
{
    if (n > MR_PG_ARRAY_MAX)
        return -EMSGSIZE;
    size_t head = array->buf.len ? 0 : HEADER;
    char *p = mr_buf_reserve(&array->buf, head + 4 + nprefix + n);
    if (!p)
        return array->buf.len + head + 4 + nprefix + n > array->buf.max ? -EMSGSIZE : -ENOMEM;
    uint32_t length = htonl((uint32_t)(nprefix + n));
    memset(p, 0, head);
    memcpy(p + head, &length, 4);
    if (nprefix)
        memcpy(p + head + 4, prefix, nprefix);
    if (n)
        memcpy(p + head + 4 + nprefix, bytes, n);
    array->buf.len += head + 4 + nprefix + n;
    array->count++;
    return 0;
}

int mr_pg_array_null(struct mr_pg_array *array)
{
    size_t head = array->buf.len ? 0 : HEADER;
    char *p = mr_buf_reserve(&array->buf, head + 4);
    if (!p)
        return array->buf.len + head + 4 > array->buf.max ? -EMSGSIZE : -ENOMEM;
    memset(p, 0, head);
    memset(p + head, 0xff, 4); /* length -1 */
    array->buf.len += head + 4;
    array->count++;
    array->has_null = true;
    return 0;
}

int mr_pg_array_bool(struct mr_pg_array *array, bool v)
{
    assert(array->oid == MR_OID_BOOL);
    char byte = v;
    return put(array, NULL, 0, &byte, 1);
}

int mr_pg_array_int4(struct mr_pg_array *array, int32_t v)
{
    assert(array->oid == MR_OID_INT4);
    uint32_t big = htonl((uint32_t)v);
    return put(array, NULL, 0, &big, sizeof(big));
}

int mr_pg_array_int8(struct mr_pg_array *array, int64_t v)
{
    assert(array->oid == MR_OID_INT8);
    uint64_t big = htobe64((uint64_t)v);
    return put(array, NULL, 0, &big, sizeof(big));
}

int mr_pg_array_uuid(struct mr_pg_array *array, const struct mr_uuid *v)
{
    assert(array->oid == MR_OID_UUID);
    return put(array, NULL, 0, v->bytes, sizeof(v->bytes));
}

int mr_pg_array_text(struct mr_pg_array *array, const char *v, size_t n)
{
    assert(array->oid == MR_OID_TEXT);
    return v ? put(array, NULL, 0, v, n) : mr_pg_array_null(array);
}

int mr_pg_array_bytea(struct mr_pg_array *array, const void *v, size_t n)
{
    assert(array->oid == MR_OID_BYTEA);
    return v ? put(array, NULL, 0, v, n) : mr_pg_array_null(array);
}

int mr_pg_array_jsonb(struct mr_pg_array *array, const char *v, size_t n)
{
    assert(array->oid == MR_OID_JSONB);
    static const char version = 1; /* of jsonb's binary format */
    return v ? put(array, &version, 1, v, n) : mr_pg_array_null(array);
}

const char *mr_pg_array_finish(struct mr_pg_array *array, int *ret_len)
{
    static const char empty[12]; /* no dimensions; the element type is written below */
    if (array->count == 0) {
        mr_buf_reset(&array->buf);
        char *p = mr_buf_reserve(&array->buf, sizeof(empty));
        if (!p)
            return NULL;
        uint32_t oid = htonl(array->oid);
        memcpy(p, empty, sizeof(empty));
        memcpy(p + 8, &oid, 4);
        *ret_len = (int)sizeof(empty);
        return p;
    }
    const uint32_t header[HEADER / 4] = {htonl(1), htonl(array->has_null), htonl(array->oid),
        htonl((uint32_t)array->count), htonl(1)};
    memcpy(array->buf.data, header, HEADER);
    *ret_len = (int)array->buf.len;
    return array->buf.data;
}
