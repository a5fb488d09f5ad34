/* What JSON Schema means by number, type and equal. */
#include "common/schema_value.h"

#include <math.h>
#include <string.h>

/* Wide enough for every int64 and every double. */
static long double wide(const json_t *number)
{
    return json_is_integer(number) ? (long double)json_integer_value(number)
                                   : (long double)json_real_value(number);
}

bool mr_schema_integral(const json_t *number)
{
    return json_is_integer(number) ||
           (json_is_real(number) && json_real_value(number) == floor(json_real_value(number)));
}

int mr_schema_compare(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b))
        return (json_integer_value(a) > json_integer_value(b)) -
               (json_integer_value(a) < json_integer_value(b));
    return (wide(a) > wide(b)) - (wide(a) < wide(b));
}

bool mr_schema_multiple(const json_t *number, const json_t *of)
{
    if (json_is_integer(number) && json_is_integer(of))
        return json_integer_value(number) % json_integer_value(of) == 0;
    /* 0.0075 is a multiple of 0.0001, although neither has an exact double. */
    long double unit = wide(of), rest = fabsl(fmodl(wide(number), unit));
    long double slack = unit * 1e-9L;
    return rest <= slack || unit - rest <= slack;
}

unsigned mr_schema_types_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
        return MR_SCHEMA_NULL;
    case JSON_TRUE:
    case JSON_FALSE:
        return MR_SCHEMA_BOOLEAN;
    case JSON_INTEGER:
    case JSON_REAL:
        return MR_SCHEMA_NUMBER | (mr_schema_integral(value) ? MR_SCHEMA_INTEGER : 0);
    case JSON_STRING:
        return MR_SCHEMA_STRING;
    case JSON_ARRAY:
        return MR_SCHEMA_ARRAY;
    case JSON_OBJECT:
        break;
    }
    return MR_SCHEMA_OBJECT;
}

static bool equal_arrays(const json_t *a, const json_t *b, size_t *budget)
{
    if (json_array_size(a) != json_array_size(b))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++)
        if (!mr_schema_equal(json_array_get(a, i), json_array_get(b, i), budget))
            return false;
    return true;
}

static bool equal_objects(const json_t *a, const json_t *b, size_t *budget)
{
    if (json_object_size(a) != json_object_size(b))
        return false;
    json_t *object = (json_t *)a; /* jansson's iterator takes no const */
    for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i)) {
        const json_t *other = json_object_get(b, json_object_iter_key(i));
        if (!other || !mr_schema_equal(json_object_iter_value(i), other, budget))
            return false;
    }
    return true;
}

bool mr_schema_equal(const json_t *a, const json_t *b, size_t *budget)
{
    if (*budget == 0)
        return false;
    --*budget;
    if (json_is_number(a) && json_is_number(b))
        return mr_schema_compare(a, b) == 0;
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_string(a))
        return json_string_length(a) == json_string_length(b) &&
               memcmp(json_string_value(a), json_string_value(b), json_string_length(a)) == 0;
    if (json_is_array(a))
        return equal_arrays(a, b, budget);
    if (json_is_object(a))
        return equal_objects(a, b, budget);
    return true; /* true, false or null */
}
