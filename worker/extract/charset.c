#include "worker/extract/charset.h"
#include "common/json.h"

#include <ctype.h>
#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uchardet.h>

#define DETECT_MAX (256u << 10) /* bytes the statistics look at */
#define DECLARED_MAX 1024       /* bytes a declaration must be within */

/* Names as iconv knows them (first, also the one we report) and as documents and uchardet write
 * them. latin1 and ascii mean windows-1252, as they do to every browser. */
static const char *const known[][6] = {
    {"windows-1252", "iso-8859-1", "latin1", "latin-1", "us-ascii", "ascii"},
    {"iso-8859-15", "latin9"},
    {"windows-1250"},
    {"iso-8859-2", "latin2"},
    {"windows-1251"},
    {"koi8-r"},
    {"koi8-u"},
    {"iso-8859-5"},
    {"ibm866", "cp866"},
    {"ibm855", "cp855"},
    {"ibm852", "cp852"},
    {"ibm850", "cp850"},
    {"ibm437", "cp437"},
    {"macintosh", "mac-roman", "x-mac-roman"},
    {"mac-cyrillic", "x-mac-cyrillic"},
    {"windows-1253"},
    {"iso-8859-7"},
    {"windows-1254", "iso-8859-9", "latin5"},
    {"windows-1255", "iso-8859-8", "iso-8859-8-i"},
    {"windows-1256"},
    {"iso-8859-6"},
    {"windows-1257"},
    {"iso-8859-4"},
    {"iso-8859-13"},
    {"iso-8859-3"},
    {"iso-8859-10"},
    {"iso-8859-16"},
    {"windows-1258"},
    {"viscii"},
    {"tis-620", "windows-874", "iso-8859-11"},
    {"gb18030", "gbk", "gb2312", "x-gbk", "hz-gb-2312"},
    {"big5", "big5-hkscs"},
    {"euc-tw"},
    {"shift_jis", "sjis", "cp932", "windows-31j", "x-sjis"},
    {"euc-jp"},
    {"iso-2022-jp"},
    {"uhc", "euc-kr", "ks_c_5601-1987", "cp949"},
    {"johab"},
};
#define KNOWN (sizeof(known) / sizeof(known[0]))

struct mr_charsets {
    iconv_t converters[KNOWN];
};

#define NO_CONVERTER ((iconv_t)-1)

struct mr_charsets *mr_charsets_open(void)
{
    struct mr_charsets *charsets = calloc(1, sizeof(*charsets));
    for (size_t i = 0; charsets && i < KNOWN; i++)
        charsets->converters[i] = iconv_open("UTF-8", known[i][0]);
    return charsets;
}

struct mr_charsets *mr_charsets_free(struct mr_charsets *charsets)
{
    for (size_t i = 0; charsets && i < KNOWN; i++)
        if (charsets->converters[i] != NO_CONVERTER)
            iconv_close(charsets->converters[i]);
    free(charsets);
    return NULL;
}

bool mr_charset_needs_converters(const char *bytes, size_t n)
{
    return !mr_utf8_valid(bytes, n) || memchr(bytes, 0x1b, n) != NULL;
}

/* Index of a charset by any of its names, or KNOWN. */
static size_t find(const char *name)
{
    for (size_t i = 0; i < KNOWN; i++)
        for (size_t j = 0; j < 6 && known[i][j]; j++)
            if (strcasecmp(known[i][j], name) == 0)
                return i;
    return KNOWN;
}

/* Copies a charset's name that begins at p, up to anything that cannot be in one. */
static void take_name(const char *p, const char *end, char *ret, size_t size)
{
    size_t n = 0;
    while (p < end && (*p == '"' || *p == '\'' || *p == ' '))
        p++;
    while (p < end && n + 1 < size && (isalnum((unsigned char)*p) || strchr("-_.:", *p)) && *p)
        ret[n++] = *p++;
    ret[n] = '\0';
}

/* What <meta charset=...>, <meta ... content="text/html; charset=..."> or <?xml encoding=...?>
 * says. */
static void declared_within(const char *bytes, size_t n, char *ret, size_t size)
{
    static const char *const keys[] = {"charset=", "encoding="};
    size_t look = n < DECLARED_MAX ? n : DECLARED_MAX;
    ret[0] = '\0';
    for (size_t k = 0; k < 2 && !ret[0]; k++) {
        size_t len = strlen(keys[k]);
        for (size_t i = 0; i + len < look && !ret[0]; i++)
            if (bytes[i] != '\0' && strncasecmp(bytes + i, keys[k], len) == 0)
                take_name(bytes + i + len, bytes + look, ret, size);
    }
}

static bool looks_marked_up(const struct mr_source *source)
{
    for (size_t i = 0; i < source->n && i < 64; i++) {
        if (source->bytes[i] == '<')
            return true;
        if (!strchr(" \t\r\n", source->bytes[i]))
            return false;
    }
    return false;
}

static size_t by_statistics(const char *bytes, size_t n)
{
    uchardet_t detector = uchardet_new();
    size_t found = KNOWN;
    if (!detector)
        return KNOWN;
    if (uchardet_handle_data(detector, bytes, n < DETECT_MAX ? n : DETECT_MAX) == 0) {
        uchardet_data_end(detector);
        found = find(uchardet_get_charset(detector));
    }
    uchardet_delete(detector);
    return found;
}

/* ---- binary or text ---- */

static int binary(struct mr_err *why)
{
    return mr_err_set(
        why, MR_EXTRACT_UNSUPPORTED, MR_CLASS_INVALID, "unsupported document: binary data");
}

/* A NUL, or too many of the control characters that no text has. */
static bool is_binary(const char *bytes, size_t n)
{
    size_t odd = 0;
    if (memchr(bytes, '\0', n))
        return true;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        bool usual = (c >= 0x08 && c <= 0x0d) || c == 0x1a || c == 0x1b;
        odd += (c < 0x20 && !usual) || c == 0x7f;
    }
    return odd > 2 + n / 200;
}

/* ---- UTF-16 and UTF-32, by hand ---- */

struct wide {
    const char *name;
    const char *mark; /* byte order mark */
    size_t mark_len, unit;
    bool big;
};

static const struct wide wides[] = {
    {"utf-32le", "\xff\xfe\0\0", 4, 4, false},
    {"utf-32be", "\0\0\xfe\xff", 4, 4, true},
    {"utf-16le", "\xff\xfe", 2, 2, false},
    {"utf-16be", "\xfe\xff", 2, 2, true},
};

/* By mark, or by the zeros that Latin text without a mark has in every other byte. */
static const struct wide *find_wide(const char *bytes, size_t n, size_t *ret_skip)
{
    for (size_t i = 0; i < 4; i++)
        if (n >= wides[i].mark_len && memcmp(bytes, wides[i].mark, wides[i].mark_len) == 0) {
            *ret_skip = wides[i].mark_len;
            return &wides[i];
        }
    size_t look = n < 4096 ? n & ~(size_t)1 : 4096, even = 0, odd = 0;
    for (size_t i = 0; i < look; i += 2) {
        even += bytes[i] == '\0';
        odd += bytes[i + 1] == '\0';
    }
    *ret_skip = 0;
    if (look >= 8 && odd > look / 4 && even < look / 100)
        return &wides[2];
    if (look >= 8 && even > look / 4 && odd < look / 100)
        return &wides[3];
    return NULL;
}

static uint32_t unit_at(const struct wide *wide, const char *bytes)
{
    const unsigned char *p = (const unsigned char *)bytes;
    uint32_t value = 0;
    for (size_t i = 0; i < wide->unit; i++)
        value = value << 8 | p[wide->big ? i : wide->unit - 1 - i];
    return value;
}

static int put_code(struct mr_buf *buf, uint32_t c)
{
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        c = 0xfffd;
    char out[4];
    size_t n = 0;
    if (c < 0x80) {
        out[n++] = (char)c;
    } else if (c < 0x800) {
        out[n++] = (char)(0xc0 | c >> 6);
        out[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        out[n++] = (char)(0xe0 | c >> 12);
        out[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        out[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        out[n++] = (char)(0xf0 | c >> 18);
        out[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        out[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        out[n++] = (char)(0x80 | (c & 0x3f));
    }
    return mr_buf_put(buf, out, n);
}

static int from_wide(const struct wide *wide, const char *bytes, size_t n, struct mr_buf *buf)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i + wide->unit <= n; i += wide->unit) {
        uint32_t c = unit_at(wide, bytes + i);
        if (wide->unit == 2 && c >= 0xd800 && c < 0xdc00 && i + 4 <= n) {
            uint32_t low = unit_at(wide, bytes + i + 2);
            if (low >= 0xdc00 && low < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                i += 2;
            }
        }
        rc = put_code(buf, c);
    }
    return rc;
}

/* ---- everything else, by iconv ---- */

static int convert(
    iconv_t converter, const char *bytes, size_t n, struct mr_buf *buf, size_t *ret_bad)
{
    char *in = (char *)(uintptr_t)bytes; /* iconv does not write to it */
    size_t bad = 0;
    iconv(converter, NULL, NULL, NULL, NULL);
    while (n > 0) {
        char *out = mr_buf_reserve(buf, 16384), *at = out;
        size_t room = 16384;
        if (!out)
            return -ENOMEM;
        size_t rc = iconv(converter, &in, &n, &at, &room);
        buf->len += (size_t)(at - out);
        if (rc != (size_t)-1 || errno == E2BIG)
            continue;
        bad++; /* EILSEQ, or EINVAL: cut off at the end */
        in++;
        n--;
        if (put_code(buf, 0xfffd) != 0)
            return -ENOMEM;
    }
    *ret_bad = bad;
    return 0;
}

static int decode(struct mr_charsets *charsets, size_t charset, const struct mr_source *source,
    struct mr_buf *buf, struct mr_err *why)
{
    size_t bad = 0;
    int rc = convert(charsets->converters[charset], source->bytes, source->n, buf, &bad);
    if (rc != 0)
        return mr_err_set(why, MR_EXTRACT_MEMORY, MR_CLASS_INVALID, "no memory for the text");
    if (bad > source->n / 20 + 1)
        return binary(why);
    return 0;
}

/* Replaces what is not UTF-8 in a text that is so but for a few bytes (cut off, or pasted from
 * elsewhere), which is much likelier than another charset as soon as it holds a number of correct
 * characters beyond ASCII. Returns 0 when it is not such a text, 1 when buf holds it, negative when
 * there is no memory. */
static int mend_utf8(const struct mr_source *source, struct mr_buf *buf)
{
    size_t bad = 0, beyond = 0;
    for (size_t at = 0; at < source->n; at++) {
        size_t valid = mr_utf8_prefix(source->bytes + at, source->n - at, source->n);
        for (size_t i = at; i < at + valid; i++)
            beyond += (unsigned char)source->bytes[i] >= 0xc2;
        at += valid;
        bad += at < source->n;
    }
    if (beyond < 5 * bad)
        return 0;
    for (size_t at = 0; at < source->n; at++) {
        size_t valid = mr_utf8_prefix(source->bytes + at, source->n - at, source->n);
        if (mr_buf_put(buf, source->bytes + at, valid) != 0)
            return -ENOMEM;
        at += valid;
        if (at < source->n && put_code(buf, 0xfffd) != 0)
            return -ENOMEM;
    }
    return 1;
}

/* Which of the known charsets it is; KNOWN for UTF-8. */
static size_t choose(struct mr_charsets *charsets, const struct mr_source *source, bool utf8)
{
    char within[41];
    bool ascii = utf8;
    for (size_t i = 0; ascii && i < source->n; i++)
        ascii = (unsigned char)source->bytes[i] < 0x80;
    size_t declared = find(source->charset);
    if (declared == KNOWN && looks_marked_up(source)) {
        declared_within(source->bytes, source->n, within, sizeof(within));
        declared = find(within);
    }
    if (ascii && declared < KNOWN && strcmp(known[declared][0], "iso-2022-jp") == 0)
        return declared; /* seven bits, but no ASCII */
    if (utf8 || !charsets)
        return KNOWN;
    if (declared == KNOWN || charsets->converters[declared] == NO_CONVERTER)
        declared = by_statistics(source->bytes, source->n);
    if (declared == KNOWN || charsets->converters[declared] == NO_CONVERTER)
        declared = 0; /* windows-1252 */
    return charsets->converters[declared] == NO_CONVERTER ? KNOWN : declared;
}

static int no_memory(struct mr_err *why)
{
    return mr_err_set(why, MR_EXTRACT_MEMORY, MR_CLASS_INVALID, "no memory for the text");
}

/* 0 with the converted text in buf and its charset, 1 when the bytes can stay as they are, or an
 * mr_extract_exit. */
static int to_buf(struct mr_charsets *charsets, const struct mr_source *source, struct mr_buf *buf,
    const char **ret_charset, struct mr_err *why)
{
    size_t skip;
    const struct wide *wide = find_wide(source->bytes, source->n, &skip);
    if (wide) {
        *ret_charset = wide->name;
        return from_wide(wide, source->bytes + skip, source->n - skip, buf) == 0 ? 0
                                                                                 : no_memory(why);
    }
    *ret_charset = "utf-8";
    if (is_binary(source->bytes, source->n))
        return binary(why);
    bool utf8 = mr_utf8_valid(source->bytes, source->n);
    int mended = utf8 ? 0 : mend_utf8(source, buf);
    if (mended != 0)
        return mended > 0 ? 0 : no_memory(why);
    size_t choice = choose(charsets, source, utf8);
    if (choice == KNOWN && utf8)
        return 1;
    if (choice == KNOWN)
        return mr_err_set(
            why, MR_EXTRACT_INTERNAL, MR_CLASS_INTERNAL, "no charset converters are installed");
    *ret_charset = known[choice][0];
    return decode(charsets, choice, source, buf, why);
}

int mr_charset_to_utf8(struct mr_charsets *charsets, const struct mr_source *source,
    struct mr_buf *buf, const char **ret_bytes, size_t *ret_n, const char **ret_charset,
    struct mr_err *why)
{
    const char *charset;
    int rc = to_buf(charsets, source, buf, &charset, why);
    if (rc > 1)
        return rc;
    *ret_bytes = rc == 1 ? source->bytes : buf->data ? buf->data : "";
    *ret_n = rc == 1 ? source->n : buf->len;
    if (rc == 0 && is_binary(*ret_bytes, *ret_n))
        return binary(why);
    *ret_charset = charset;
    return 0;
}
