#include "worker/providers/local/valid.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* Length of an IBAN by country; 0 = no such country. */
static size_t iban_length(const char *country)
{
    static const char table[] =
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BR29BY28CH21CR22CY28CZ24DE22DK18DO28EE20EG29ES24FI18"
        "FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20"
        "LU20LV21LY25MC27MD24ME22MK19MR27MT31MU30NL18NO15PK24PL28PS29PT25QA29RO24RS22SA24SC31SE24"
        "SI19SK24SM27ST25SV28TL23TN24TR26UA29VA22VG24XK20";
    for (const char *p = table; *p; p += 4)
        if (p[0] == country[0] && p[1] == country[1])
            return (size_t)((p[2] - '0') * 10 + (p[3] - '0'));
    return 0;
}

size_t mr_valid_iban(const char *s, size_t n)
{
    char plain[34];
    size_t want = n >= 15 ? iban_length(s) : 0, have = 0, i = 0;
    for (; i < n && have < want; i++)
        if (s[i] != ' ')
            plain[have++] = s[i];
    if (want == 0 || have < want || (i < n && s[i] != ' '))
        return 0;
    unsigned rest = 0;
    for (size_t k = 0; k < have; k++) {
        char c = plain[(k + 4) % have]; /* country and check digits go last */
        if (!is_digit(c) && !is_upper(c))
            return 0;
        rest = is_digit(c) ? (rest * 10 + (unsigned)(c - '0')) % 97
                           : (rest * 100 + (unsigned)(c - 'A') + 10) % 97;
    }
    return rest == 1 ? i : 0;
}

size_t mr_valid_card(const char *s, size_t n)
{
    unsigned sum = 0, digits = 0;
    bool same = true;
    for (size_t i = n; i-- > 0;) {
        if (!is_digit(s[i]))
            continue;
        unsigned d = (unsigned)(s[i] - '0');
        same = same && s[i] == s[n - 1];
        if (digits++ % 2 == 1)
            d = d * 2 > 9 ? d * 2 - 9 : d * 2;
        sum += d;
    }
    bool issuer = s[0] >= '2' && s[0] <= '6';
    return issuer && !same && digits >= 13 && digits <= 19 && sum % 10 == 0 ? n : 0;
}

size_t mr_valid_url(const char *s, size_t n)
{
    while (n > 0 && strchr(".,;:!?'\"*_", s[n - 1]))
        n--;
    int open = 0;
    for (size_t i = 0; i < n; i++)
        open += s[i] == '(' ? 1 : s[i] == ')' ? -1 : 0;
    while (n > 0 && (s[n - 1] == ']' || s[n - 1] == '}' || (s[n - 1] == ')' && open < 0))) {
        open += s[n - 1] == ')';
        n--;
    }
    while (n > 0 && strchr(".,;:!?'\"", s[n - 1]))
        n--;
    const char *dot = memchr(s, '.', n);
    return dot || memmem(s, n, "://localhost", 12) ? n : 0;
}

size_t mr_valid_phone(const char *s, size_t n)
{
    unsigned digits = 0;
    int open = 0;
    for (size_t i = 0; i < n; i++) {
        digits += is_digit(s[i]);
        open += s[i] == '(' ? 1 : s[i] == ')' ? -1 : 0;
        if (open < 0 || open > 1)
            return 0;
    }
    return open == 0 && digits >= 7 && digits <= 15 ? n : 0;
}

/* Numbers of the match in order; at most 4. */
static size_t numbers(const char *s, size_t n, unsigned ret[static 4], size_t ret_digits[static 4])
{
    size_t count = 0;
    for (size_t i = 0; i < n && count < 4;) {
        if (!is_digit(s[i])) {
            i++;
            continue;
        }
        unsigned value = 0;
        size_t digits = 0;
        for (; i < n && is_digit(s[i]) && digits < 5; i++, digits++)
            value = value * 10 + (unsigned)(s[i] - '0');
        ret[count] = value;
        ret_digits[count++] = digits;
    }
    return count;
}

static bool is_day(unsigned day, unsigned month, unsigned year)
{
    static const unsigned char days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month < 1 || month > 12 || day < 1 || day > days[month - 1])
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month != 2 || day < 29 || leap;
}

size_t mr_valid_date(const char *s, size_t n)
{
    unsigned v[4] = {0};
    size_t digits[4] = {0}, count = numbers(s, n, v, digits);
    bool words = false;
    for (size_t i = 0; i < n; i++)
        words = words || (isalpha((unsigned char)s[i]) && s[i] != 'T' && s[i] != 'Z');
    if (words) { /* "3 March 2024", "May 2024", "1er mars": the month is a word */
        for (size_t i = 0; i < count; i++)
            if (digits[i] <= 2 ? v[i] < 1 || v[i] > 31 : v[i] < 1000 || v[i] > 2999)
                return 0;
        return n;
    }
    if (count >= 3 && digits[0] == 4)
        return is_day(v[2], v[1], v[0]) ? n : 0;
    if (count < 3)
        return 0;
    unsigned year = digits[2] == 2 ? 2000 + v[2] : v[2];
    return is_day(v[0], v[1], year) || (memchr(s, '/', n) && is_day(v[1], v[0], year)) ? n : 0;
}

size_t mr_valid_any(const char *s, size_t n)
{
    return n;
}
