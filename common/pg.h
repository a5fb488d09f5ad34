/* libpq: one way to connect, one way to pass arrays, one way to read SQLSTATEs. */
#pragma once

#include "common/buf.h"
#include "common/config.h"
#include "common/ids.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

enum mr_pg_role { MR_PG_OWNER, MR_PG_WORKER, MR_PG_CLIENT };

/* Blocking connect; tries every host. err says what to do ("is PostgreSQL running at
 * ...?"). */
int mr_pg_connect(const struct mr_config_database *database, enum mr_pg_role role,
    const char *application, PGconn **ret, struct mr_err *err) MR_CHECK;

/* What an SQLSTATE means for a retry. */
enum mr_pg_fault {
    MR_PG_LOST,     /* connection gone, server shutting down: reconnect and repeat */
    MR_PG_CONFLICT, /* serialization failure, deadlock, lock timeout: repeat */
    MR_PG_DATA,     /* classes 22 and 23: this input can never be stored */
    MR_PG_BUG,      /* everything else */
};
enum mr_pg_fault mr_pg_fault(const PGresult *result);

/* Fills err from a result or connection: SQLSTATE, primary message, detail. Returns a negative
 * errno; -EACCES: the role lacks a right. */
int mr_pg_error(const PGconn *conn, const PGresult *result, const char *what, struct mr_err *err);

/* A one-dimensional array parameter in binary format, built item by item. NULLs allowed in all. */
struct mr_pg_array {
    struct mr_buf buf;
    uint32_t oid;
    int32_t count;
    bool has_null;
};
#define MR_PG_ARRAY_MAX (256u << 20)

enum {
    MR_OID_BOOL = 16,
    MR_OID_BYTEA = 17,
    MR_OID_INT8 = 20,
    MR_OID_INT4 = 23,
    MR_OID_TEXT = 25,
    MR_OID_UUID = 2950,
    MR_OID_JSONB = 3802,
    MR_OID_BOOL_A = 1000,
    MR_OID_BYTEA_A = 1001,
    MR_OID_INT8_A = 1016,
    MR_OID_INT4_A = 1007,
    MR_OID_TEXT_A = 1009,
    MR_OID_UUID_A = 2951,
    MR_OID_JSONB_A = 3807
};

void mr_pg_array_init(struct mr_pg_array *array, uint32_t element_oid);
void mr_pg_array_reset(struct mr_pg_array *array);
void mr_pg_array_deinit(struct mr_pg_array *array);
int mr_pg_array_null(struct mr_pg_array *array) MR_CHECK;
int mr_pg_array_bool(struct mr_pg_array *array, bool v) MR_CHECK;
int mr_pg_array_int4(struct mr_pg_array *array, int32_t v) MR_CHECK;
int mr_pg_array_int8(struct mr_pg_array *array, int64_t v) MR_CHECK;
int mr_pg_array_uuid(struct mr_pg_array *array, const struct mr_uuid *v) MR_CHECK;
int mr_pg_array_text(
    struct mr_pg_array *array, const char *v, size_t n) MR_CHECK; /* v NULL = null */
int mr_pg_array_bytea(
    struct mr_pg_array *array, const void *v, size_t n) MR_CHECK; /* v NULL = null */
int mr_pg_array_jsonb(
    struct mr_pg_array *array, const char *v, size_t n) MR_CHECK; /* v NULL = null */
/* Writes the header; the bytes are then valid until the next reset. */
const char *mr_pg_array_finish(struct mr_pg_array *array, int *ret_len);

/* Numbered migrations, embedded from sql/NNNN_*.sql; each runs once, in its own transaction, under
 * an advisory lock that serialises racing `millrace init`s; sql/functions and views are re-created
 * every time. *ret_applied counts. */
int mr_pg_migrate(PGconn *owner, int *ret_applied, struct mr_err *err) MR_CHECK;
/* The newest migration this build knows, and 0/-EPROTO when the database is older or newer (err
 * says: run millrace init). */
int mr_pg_check_version(PGconn *conn, struct mr_err *err) MR_CHECK;
