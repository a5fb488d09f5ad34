#include "producer/figures.h"

#include <stdlib.h>
#include <string.h>

#define USD_PLACES 6
#define DIGITS "0123456789"

/* The parts of "-1234.50". False: it is something else. */
struct parts {
    const char *whole, *decimals;
    size_t nwhole, ndecimals;
};

static bool split(const char *number, struct parts *ret)
{
    const char *whole = number + (*number == '-');
    size_t n = strspn(whole, DIGITS);
    const char *decimals = whole + n + (whole[n] == '.');
    *ret = (struct parts){whole, decimals, n, strspn(decimals, DIGITS)};
    return n > 0 && decimals[ret->ndecimals] == '\0';
}

size_t mr_figure_places(enum mr_cell type, const char *number)
{
    struct parts parts;
    if (type == MR_CELL_MS || !split(number, &parts))
        return 0;
    size_t n = parts.ndecimals, least = type == MR_CELL_USD ? USD_PLACES : 0;
    while (n > 0 && parts.decimals[n - 1] == '0')
        n--;
    return n > least ? n : least;
}

static int put_seconds(struct mr_buf *buf, const char *number)
{
    long long ms = strtoll(number, NULL, 10), size = llabs(ms);
    char text[32];
    snprintf(text, sizeof(text), "%s%lld.%02lld", ms < 0 ? "-" : "", size / 1000, size % 1000 / 10);
    return mr_figure_put(buf, MR_CELL_DECIMAL, text, 2);
}

int mr_figure_put(struct mr_buf *buf, enum mr_cell type, const char *number, size_t places)
{
    struct parts parts;
    if (!split(number, &parts))
        return mr_buf_puts(buf, number);
    if (type == MR_CELL_MS)
        return put_seconds(buf, number);
    int r =
        mr_buf_printf(buf, "%s%s", number < parts.whole ? "-" : "", type == MR_CELL_USD ? "$" : "");
    for (size_t i = 0; i < parts.nwhole && r == 0; i++) {
        r = mr_buf_putc(buf, parts.whole[i]);
        if (r == 0 && (parts.nwhole - i) % 3 == 1 && i + 1 < parts.nwhole)
            r = mr_buf_putc(buf, ',');
    }
    if (r == 0 && places > 0)
        r = mr_buf_putc(buf, '.');
    for (size_t i = 0; i < places && r == 0; i++)
        r = mr_buf_putc(buf, i < parts.ndecimals ? parts.decimals[i] : '0');
    return r;
}
