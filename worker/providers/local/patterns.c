/* What has a form of its own. The patterns are linear by construction: bounded repeats, anchored by
 * lookbehind, and a match limit as a last resort. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "worker/providers/local/found.h"
#include "worker/providers/local/valid.h"

#include <assert.h>
#include <errno.h>
#include <pcre2.h>
#include <pthread.h>
#include <string.h>

#define MATCH_LIMIT 200000
#define NO_WORD_BEFORE "(?<![\\p{L}\\p{N}])"
#define NO_WORD_AFTER "(?![\\p{L}\\p{N}])"
#define SP "[ \\x{a0}\\x{202f}]"

#define MONTH                                                                                      \
    "(?:jan(?:uary|uar|vier|uari|eiro)?|enero|gennaio|jänner|feb(?:ruary|ruar|"                   \
    "brero|braio|ruari)?|février|fevereiro|febrero|febbraio|mar(?:ch|s|zo|ço)?|"                 \
    "märz|maart|apr(?:il|ile)?|avril|abril|may|mai|mayo|maggio|maio|mei|june?|juni|"              \
    "juin|junio|giugno|junho|jul[yi]?|juillet|julio|luglio|julho|aug(?:ust|ustus)?|"               \
    "août|agosto|sept?(?:ember|embre|tembre|iembre|tiembre)?|settembre|setembro|"                 \
    "o[ck]t(?:ober|obre)?|octubre|ottobre|outubro|nov(?:ember|embre|iembre)?|"                     \
    "novembro|de[cz](?:ember|embro)?|décembre|diciembre|dicembre)"

#define WEEKDAY                                                                                    \
    "(?:(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|montag|dienstag|mittwoch|"                   \
    "donnerstag|freitag|samstag|sonntag|lundi|mardi|mercredi|jeudi|vendredi|samedi|"               \
    "dimanche|lunes|martes|miércoles|jueves|viernes|sábado|domingo),? (?:den |the |"             \
    "el |le )?)?"

#define UNIT                                                                                       \
    "(?:" SP "?(?:thousand|million|billion|trillion|millions?|milliards?|millones|"                \
    "mil millones|millionen|milliarden|mio\\.?|mrd\\.?|milioni|miliardi|milhões|"                 \
    "miljoen|miljard|tausend|mille|bn|m|k)" NO_WORD_AFTER "(?: (?:de|d’|d')" SP "?)?)?"

#define NUMBER "[0-9]{1,15}(?:[.,'’]?" SP "?[0-9]{2,3}){0,6}(?:[.,](?:[0-9]{1,4}|-|–))?"
#define CURRENCY                                                                                   \
    "(?:US\\$|A\\$|C\\$|\\$|€|£|¥|₹|(?:USD|EUR|GBP|CHF|JPY|CAD|AUD|SEK|NOK|DKK|PLN|CNY|INR|" \
    "BRL)" NO_WORD_AFTER ")"
#define CURRENCY_AFTER                                                                             \
    "(?:\\$|€|£|(?:USD|EUR|GBP|CHF|JPY|CAD|AUD|SEK|NOK|DKK|PLN|CNY|INR|BRL|euros?|"             \
    "(?:US-)?dollars?|dólares|dollari|pounds?(?: sterling)?|livres sterling|pfund|"               \
    "libras|francs?|franken|pesos|yen|yuan|reais|cents?)" NO_WORD_AFTER ")"

static const struct pattern {
    enum mr_entity entity;
    const char *needs; /* a document without any of these characters cannot match */
    size_t (*valid)(const char *s, size_t n);
    const char *regex;
} patterns[] = {
    {MR_ENTITY_EMAIL, "@", mr_valid_any,
        "(?<![A-Za-z0-9._%+-])[A-Za-z0-9_][A-Za-z0-9._%+-]{0,63}@"
        "(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9])"},
    {MR_ENTITY_URL, "/.", mr_valid_url,
        NO_WORD_BEFORE "(?:https?://|ftp://|www\\.)[^\\s<>\"“”«»‘’`{}|\\\\^]{3,280}"},
    {MR_ENTITY_IBAN, "0123456789", mr_valid_iban,
        NO_WORD_BEFORE "[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?"},
    {MR_ENTITY_CARD, "0123456789", mr_valid_card,
        "(?<![\\p{N}\\p{L}.+-])[2-6][0-9]{3}(?:[ -]?[0-9]){9,15}" NO_WORD_AFTER},
    {MR_ENTITY_DATE, "0123456789", mr_valid_date,
        "(?<![\\p{N}\\p{L}./-])(?:[12][0-9]{3}-[01][0-9]-[0-3][0-9]"
        "(?:T[0-2][0-9]:[0-5][0-9](?::[0-5][0-9](?:\\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
        "|[0-3]?[0-9](?:\\.[01]?[0-9]\\.|/[0-3]?[0-9]/|-[01]?[0-9]-)(?:[12][0-9])?[0-9]{2})"
        "(?![\\p{N}\\p{L}/-])"},
    {MR_ENTITY_DATE, "0123456789", mr_valid_date,
        "(?i)" NO_WORD_BEFORE "(?:" WEEKDAY "[0-3]?[0-9](?:st|nd|rd|th|er|re|\\.|º|°)? "
        "(?:de |of |di )?" MONTH "\\.?(?:,? (?:de |del |do )?[12][0-9]{3})?"
        "|" WEEKDAY MONTH "\\.? [0-3]?[0-9](?:st|nd|rd|th)?(?:,? [12][0-9]{3})?(?![0-9])"
        "|" MONTH "\\.?,? (?:de |del |do )?[12][0-9]{3})" NO_WORD_AFTER},
    {MR_ENTITY_PERCENT, "0123456789", mr_valid_any,
        "(?<![\\p{N}\\p{L}.,])[+−-]?[0-9]{1,9}(?:[.,][0-9]{1,6})?" SP "?"
        "(?:%|‰|(?i:percent|per cent|prozent|pour cent|por ciento|per cento|por "
        "cento|procent)" NO_WORD_AFTER ")"},
    {MR_ENTITY_MONEY, "0123456789", mr_valid_any,
        "(?<![\\p{N}\\p{L}.,$])(?:" CURRENCY SP "?" NUMBER "(?i:" UNIT ")"
        "|" NUMBER "(?i:" UNIT SP "?" CURRENCY_AFTER "))(?![0-9])"},
    {MR_ENTITY_PHONE, "0123456789", mr_valid_phone,
        "(?<![\\p{N}\\p{L}.,+/-])(?<!\\p{N} )(?:\\+[1-9][0-9]{0,2}[ ./-]?(?:\\(0?[0-9]{1,5}\\)[ "
        "./-]?)?"
        "[0-9]{1,5}(?:[ ./-]?[0-9]{2,5}){1,5}"
        "|\\(0?[0-9]{2,5}\\) ?[0-9]{2,5}(?:[ ./-]?[0-9]{2,5}){1,4}"
        "|0[0-9]{1,5}(?:[ /-]| / )[0-9]{2,8}(?:[ -]?[0-9]{2,5}){0,4}"
        "|[2-9][0-9]{2}[-.][0-9]{3}[-.][0-9]{4})(?![\\p{N}\\p{L}/-])"},
};
#define PATTERNS (sizeof(patterns) / sizeof(patterns[0]))

/* Compiled once for the process; compiled code is read-only and shared by all threads. */
static struct {
    pthread_once_t once;
    pcre2_code *codes[PATTERNS];
} compiled = {.once = PTHREAD_ONCE_INIT};

static void compile(void)
{
    for (size_t i = 0; i < PATTERNS; i++) {
        int error;
        PCRE2_SIZE at;
        compiled.codes[i] = pcre2_compile((PCRE2_SPTR)patterns[i].regex, PCRE2_ZERO_TERMINATED,
            PCRE2_UTF | PCRE2_NO_AUTO_CAPTURE, &error, &at, NULL);
        assert(compiled.codes[i]);
        /* Where there is no JIT the interpreter answers, only slower. */
        (void)pcre2_jit_compile(compiled.codes[i], PCRE2_JIT_COMPLETE);
    }
}

bool mr_found_add(struct mr_found *found, size_t at, size_t len, enum mr_entity entity)
{
    if (len == 0 || len > MR_ENTITY_BYTES_MAX || found->count == MR_FOUND_MAX ||
        memchr(found->taken + at, 1, len))
        return false;
    memset(found->taken + at, 1, len);
    found->spans[found->count++] = (struct mr_span){(uint32_t)at, (uint32_t)len, entity};
    return true;
}

static void find_all(const struct pattern *pattern, const pcre2_code *code, const char *bytes,
    size_t len, struct mr_found *found, pcre2_match_data *match, pcre2_match_context *context)
{
    for (size_t at = 0; at < len;) {
        int rc = pcre2_match(code, (PCRE2_SPTR)bytes, len, at, PCRE2_NO_UTF_CHECK, match, context);
        if (rc < 0) /* no match, or a limit reached: the rest of a hostile text is let go */
            return;
        const PCRE2_SIZE *range = pcre2_get_ovector_pointer(match);
        size_t good = pattern->valid(bytes + range[0], range[1] - range[0]);
        if (good > 0)
            mr_found_add(found, range[0], good, pattern->entity);
        at = good > 0 ? range[0] + good : range[1];
        if (at <= range[0])
            return;
    }
}

int mr_patterns_find(const char *bytes, size_t len, struct mr_found *found)
{
    int rc = pthread_once(&compiled.once, compile);
    assert(rc == 0);
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    rc = match && context ? 0 : -ENOMEM;
    if (rc == 0)
        pcre2_set_match_limit(context, MATCH_LIMIT);
    for (size_t i = 0; i < PATTERNS && rc == 0; i++) {
        bool possible = false;
        for (const char *c = patterns[i].needs; *c && !possible; c++)
            possible = memchr(bytes, *c, len) != NULL;
        if (possible)
            find_all(&patterns[i], compiled.codes[i], bytes, len, found, match, context);
    }
    pcre2_match_context_free(context);
    pcre2_match_data_free(match);
    return rc;
}
