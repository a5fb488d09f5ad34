#include "worker/providers/local/text.h"

#include "worker/providers/local/lexicon.h"
#include "worker/providers/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STEM_LETTERS 6

uint32_t mr_local_text_lower(uint32_t c)
{
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    if ((c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3a9) ||
        (c >= 0x410 && c <= 0x42f))
        return c + 32;
    if (c >= 0x400 && c <= 0x40f)
        return c + 80;
    /* Latin Extended-A: pairs, upper case even in the first and last part, odd in the middle. */
    if ((c >= 0x100 && c <= 0x137) || (c >= 0x14a && c <= 0x177))
        return c | 1;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e))
        return c + (c & 1);
    return c;
}

static bool is_letter(uint32_t c)
{
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (c < 0xc0)
        return c == 0xaa || c == 0xb5 || c == 0xba;
    if (c == 0xd7 || c == 0xf7 || c == MR_UTF8_BAD)
        return false;
    /* General punctuation to geometric shapes, CJK punctuation, full-width signs, private use. */
    return !((c >= 0x2000 && c < 0x2c00) || (c >= 0x3000 && c < 0x3040) ||
             (c >= 0xff00 && c <= 0xff0f) || (c >= 0xff1a && c <= 0xff20) ||
             (c >= 0xe000 && c <= 0xf8ff) || c >= 0x1f000);
}

/* Scripts without spaces: every character is a word. */
static bool stands_alone(uint32_t c)
{
    return (c >= 0x3040 && c <= 0x30ff) || (c >= 0x3400 && c <= 0x9fff) ||
           (c >= 0x20000 && c < 0x30000);
}

static size_t read_word(const struct mr_local_text *text, size_t at, struct mr_word *ret)
{
    uint64_t hash = MR_HASH_INIT, stem = MR_HASH_INIT;
    size_t end = at, letters = 0, uppers = 0, digits = 0;
    bool capital = false;
    while (end < text->len) {
        uint32_t c;
        size_t n = mr_utf8_next(text->bytes + end, text->len - end, &c);
        if (!is_letter(c) || (letters > 0 && stands_alone(c)))
            break;
        uint32_t lower = mr_local_text_lower(c);
        uppers += lower != c;
        capital = capital || (letters == 0 && lower != c);
        digits += c >= '0' && c <= '9';
        hash = mr_hash_add(hash, lower);
        if (letters < STEM_LETTERS)
            stem = hash;
        letters++;
        end += n;
        if (stands_alone(c))
            break;
    }
    *ret = (struct mr_word){.at = (uint32_t)at, .len = (uint32_t)(end - at), .hash = hash};
    ret->stem = stem;
    ret->bits = mr_lexicon_find(hash);
    ret->shape = (capital ? MR_SHAPE_CAPITAL : 0u) | (digits == letters ? MR_SHAPE_DIGITS : 0u) |
                 (uppers == letters && letters > 1 ? MR_SHAPE_ALL_CAPS : 0u) |
                 (letters == 1 ? MR_SHAPE_ONE : 0u);
    return end;
}

static int find_words(struct mr_local_text *text)
{
    size_t room = text->len / 4 + 16, at = 0;
    text->words = malloc(room * sizeof(*text->words));
    while (text->words && at < text->len && text->nwords < MR_WORDS_MAX) {
        uint32_t c;
        size_t n = mr_utf8_next(text->bytes + at, text->len - at, &c);
        if (!is_letter(c)) {
            at += n;
            continue;
        }
        if (text->nwords == room) {
            struct mr_word *more = realloc(text->words, 2 * room * sizeof(*text->words));
            if (!more)
                return -ENOMEM;
            text->words = more;
            room *= 2;
        }
        at = read_word(text, at, &text->words[text->nwords++]);
    }
    return text->words ? 0 : -ENOMEM;
}

/* What stands between two words. */
struct gap {
    bool paragraph; /* an empty line, or a list item begins */
    bool strong;    /* ! ? … or their kin */
    bool dot;       /* a full stop right behind the word, and white space after it */
    size_t end;     /* behind the punctuation that belongs to the word before */
};

static bool is_mark(uint32_t c)
{
    return c == '!' || c == '?' || c == 0x2026 || c == 0x3002 || c == 0xff01 || c == 0xff1f;
}

static bool is_closer(uint32_t c)
{
    return c == '"' || c == '\'' || c == ')' || c == ']' || c == 0xbb || c == 0x201d ||
           c == 0x2019 || c == 0x201c || c == 0x300d;
}

static struct gap read_gap(const struct mr_local_text *text, size_t at, size_t end)
{
    struct gap gap = {.end = at};
    bool first_dot = at < end && text->bytes[at] == '.', spaced = false;
    bool open = true; /* still in the punctuation that belongs to the word before */
    unsigned newlines = 0;
    for (size_t i = at; i < end;) {
        uint32_t c;
        i += mr_utf8_next(text->bytes + i, end - i, &c);
        gap.strong = gap.strong || (open && is_mark(c));
        bool before_closer = end - i >= 2 && memcmp(text->bytes + i, "»", 2) == 0;
        open = open && (c == '.' || is_mark(c) || is_closer(c) || before_closer);
        gap.end = open ? i : gap.end;
        newlines += c == '\n';
        gap.paragraph = gap.paragraph || newlines > 1 ||
                        (newlines > 0 && (c == '-' || c == '*' || c == '#' || c == 0x2022));
        spaced = spaced || c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == 0xa0;
    }
    gap.dot = first_dot && (spaced || end == text->len);
    return gap;
}

/* Where a sentence whose first word is at `at` begins: quotation marks and the like that open it
 * belong to it, bullets do not. Never before `least`. */
static size_t opening(const struct mr_local_text *text, size_t least, size_t at)
{
    static const char *const openers[] = {
        "\"", "'", "(", "[", "“", "„", "‘", "«", "« ", "«\u00a0", "«\u202f", "¿", "¡", "「", "『"};
    bool found = true;
    while (found) {
        found = false;
        for (size_t i = 0; i < sizeof(openers) / sizeof(openers[0]) && !found; i++) {
            size_t n = strlen(openers[i]);
            found = at >= least + n && memcmp(text->bytes + at - n, openers[i], n) == 0;
            at -= found ? n : 0;
        }
    }
    return at;
}

/* "3. März", "J. Smith", "z. B.", "Dr. No": a full stop that ends nothing. */
static bool is_abbreviated(const struct mr_word *word, const struct mr_word *next)
{
    if (word->bits & MR_LEX_ABBREVIATION || word->shape == MR_SHAPE_ONE ||
        word->shape == (MR_SHAPE_ONE | MR_SHAPE_CAPITAL))
        return true;
    return word->shape & MR_SHAPE_DIGITS && word->len <= 2 && next->bits & MR_LEX_MONTH;
}

static bool ends_sentence(const struct mr_local_text *text, size_t i, const struct gap *gap)
{
    if (i + 1 == text->nwords || gap->paragraph)
        return true;
    const struct mr_word *word = &text->words[i], *next = word + 1;
    uint32_t c;
    mr_utf8_next(text->bytes + next->at, text->len - next->at, &c);
    bool lower = !(next->shape & (MR_SHAPE_CAPITAL | MR_SHAPE_DIGITS)) && c < 0x500;
    if (gap->strong)
        return !lower;
    return gap->dot && !lower && !is_abbreviated(word, next);
}

static int add_sentence(struct mr_local_text *text, size_t *room, struct mr_sentence sentence)
{
    if (text->nsentences == *room) {
        size_t more = *room ? *room * 2 : 32;
        struct mr_sentence *bigger = realloc(text->sentences, more * sizeof(*bigger));
        if (!bigger)
            return -ENOMEM;
        text->sentences = bigger;
        *room = more;
    }
    text->words[sentence.first].shape |= MR_SHAPE_FIRST;
    text->sentences[text->nsentences++] = sentence;
    return 0;
}

static int find_sentences(struct mr_local_text *text)
{
    size_t room = 0, first = 0;
    size_t start = text->nwords > 0 ? opening(text, 0, text->words[0].at) : 0;
    for (size_t i = 0; i < text->nwords && text->nsentences < MR_SENTENCES_MAX; i++) {
        size_t word_end = text->words[i].at + text->words[i].len;
        bool last = i + 1 == text->nwords;
        struct gap gap = read_gap(text, word_end, last ? text->len : text->words[i + 1].at);
        bool full = word_end - start > MR_SENTENCE_BYTES;
        if (!full && !ends_sentence(text, i, &gap))
            continue;
        bool stopped = gap.dot || gap.strong;
        struct mr_sentence sentence = {.at = (uint32_t)start,
            .len = (uint32_t)((stopped ? gap.end : word_end) - start),
            .first = (uint32_t)first,
            .nwords = (uint32_t)(i + 1 - first),
            .fragment = !stopped};
        int rc = add_sentence(text, &room, sentence);
        if (rc < 0)
            return rc;
        first = i + 1;
        start = last ? 0 : opening(text, gap.end, text->words[first].at);
    }
    return 0;
}

static unsigned guess_language(const struct mr_local_text *text)
{
    unsigned count[7] = {0}, best = 0;
    size_t n = text->nwords < 2000 ? text->nwords : 2000;
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < 7; k++)
            count[k] += text->words[i].bits >> k & 1;
    for (unsigned k = 1; k < 7; k++)
        if (count[k] > count[best])
            best = k;
    return count[best] >= 2 ? 1u << best : 0;
}

int mr_local_text_init(struct mr_local_text *ret, const char *bytes, size_t len)
{
    struct mr_local_text text = {.bytes = bytes, .len = len};
    int rc = find_words(&text);
    if (rc == 0)
        rc = find_sentences(&text);
    if (rc < 0) {
        mr_local_text_deinit(&text);
        return rc;
    }
    text.language = guess_language(&text);
    *ret = text;
    return 0;
}

void mr_local_text_deinit(struct mr_local_text *text)
{
    free(text->words);
    free(text->sentences);
    *text = (struct mr_local_text){0};
}

int mr_local_text_tidy(struct mr_buf *buf, const char *bytes, size_t n)
{
    size_t start = buf->len;
    for (size_t i = 0; i < n;) {
        uint32_t c;
        size_t k = mr_utf8_next(bytes + i, n - i, &c);
        int rc = 0;
        if (c <= ' ' || c == 0x7f) {
            if (buf->len > start && buf->data[buf->len - 1] != ' ')
                rc = mr_buf_putc(buf, ' ');
        } else if (c == MR_UTF8_BAD) {
            rc = mr_buf_put(buf, "\xef\xbf\xbd", 3);
        } else {
            rc = mr_buf_put(buf, bytes + i, k);
        }
        if (rc < 0)
            return rc;
        i += k;
    }
    while (buf->len > start && buf->data[buf->len - 1] == ' ')
        buf->data[--buf->len] = '\0';
    return 0;
}
