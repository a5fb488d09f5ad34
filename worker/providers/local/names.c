/* People, organizations and places by capital letters, lists, and the words around them. German
 * writes every noun with a capital, so there only lists and titles count. What cannot be told is
 * left out rather than guessed. */
#include "worker/providers/local/found.h"

#include "worker/providers/local/lexicon.h"
#include "worker/providers/utf8.h"

#include <string.h>

#define NAME_WORDS_MAX 7
#define PHRASE_WORDS_MAX 6

struct finder {
    const struct mr_local_text *text;
    struct mr_found *found;
    bool german;
    size_t end;    /* one past the last word of the current sentence */
    bool headline; /* most words of it are capitalised: capitals mean nothing */
};

static const struct mr_word *word_at(const struct finder *finder, size_t i)
{
    return &finder->text->words[i];
}

static bool has(const struct finder *finder, size_t i, uint32_t bits)
{
    return word_at(finder, i)->bits & bits;
}

static bool is_capital(const struct finder *finder, size_t i)
{
    return word_at(finder, i)->shape & MR_SHAPE_CAPITAL;
}

static bool is_stop(const struct finder *finder, size_t i)
{
    unsigned language = finder->text->language;
    return has(finder, i, language ? language : MR_LEX_STOP);
}

static bool is_free(const struct finder *finder, size_t i)
{
    return !finder->found->taken[word_at(finder, i)->at];
}

/* Whether word i and the next belong together as parts of a name may: a blank, a hyphen, "&", the
 * full stop of an initial or a title, the apostrophe of O'Brien. */
static bool is_joined(const struct finder *finder, size_t i)
{
    if (i + 1 >= finder->end || !is_free(finder, i + 1))
        return false;
    const struct mr_word *word = word_at(finder, i);
    const char *gap = finder->text->bytes + word->at + word->len;
    size_t n = word_at(finder, i + 1)->at - word->at - word->len;
    bool initial = word->shape & MR_SHAPE_ONE && word->shape & MR_SHAPE_CAPITAL;
    if (n == 1)
        return *gap == ' ' || *gap == '\n' || *gap == '-' || (initial && strchr(".'", *gap));
    if (n == 2 && gap[0] == '.' && (gap[1] == ' ' || gap[1] == '\n'))
        return initial || word->bits & (MR_LEX_TITLE | MR_LEX_ABBREVIATION);
    if (n == 3 && initial && memcmp(gap, "\xe2\x80\x99", 3) == 0)
        return true;
    return n == 3 && memcmp(gap, " & ", 3) == 0;
}

/* The longest phrase in the lists that begins at word i; 0 words = none. */
static size_t find_phrase(const struct finder *finder, size_t i, uint32_t *ret_bits)
{
    uint64_t hash = MR_HASH_INIT;
    size_t best = 0;
    for (size_t k = 0; k < PHRASE_WORDS_MAX && i + k < finder->end; k++) {
        const struct mr_word *word = word_at(finder, i + k);
        if (k > 0)
            hash = mr_hash_add(hash, ' ');
        for (uint32_t at = 0; at < word->len;) {
            uint32_t c;
            at += (uint32_t)mr_utf8_next(finder->text->bytes + word->at + at, word->len - at, &c);
            hash = mr_hash_add(hash, mr_local_text_lower(c));
        }
        uint32_t bits = is_capital(finder, i + k) ? mr_lexicon_find(hash) : 0;
        if (bits & (MR_LEX_PLACE | MR_LEX_ORG)) {
            best = k + 1;
            *ret_bits = bits;
        }
        if (!is_joined(finder, i + k))
            break;
    }
    return best;
}

static void add(struct finder *finder, size_t from, size_t to, enum mr_entity entity)
{
    const struct mr_word *last = word_at(finder, to - 1);
    uint32_t at = word_at(finder, from)->at;
    mr_found_add(finder->found, at, last->at + last->len - at, entity);
}

/* One past the last word of the capitalised run at i. Particles may stand inside: "van der Waals",
 * and "of" behind an organization's word: "University of Oxford". */
static size_t find_run(const struct finder *finder, size_t i)
{
    size_t end = i + 1;
    bool org = has(finder, i, MR_LEX_ORG_WORD);
    while (end - i < NAME_WORDS_MAX && is_joined(finder, end - 1)) {
        size_t next = end;
        static const uint32_t of_len = 2;
        const struct mr_word *word = word_at(finder, next);
        bool of =
            org && word->len == of_len && memcmp(finder->text->bytes + word->at, "of", of_len) == 0;
        while (next < finder->end && !is_capital(finder, next) && next - end < 2 &&
               (has(finder, next, MR_LEX_PARTICLE) || of) && is_joined(finder, next))
            next++;
        if (next >= finder->end || !is_capital(finder, next) ||
            has(finder, next, MR_LEX_NO_NAME | MR_LEX_MONTH))
            break;
        org = org || has(finder, next, MR_LEX_ORG_WORD);
        end = next + 1;
    }
    return end;
}

/* A title or given name says a person begins at i; how far does the name go? In German the next
 * noun may follow at once, so one surname must do. */
static size_t person_end(const struct finder *finder, size_t i, size_t end)
{
    if (!finder->german)
        return end - i <= 5 ? end : i + 5;
    size_t k = i;
    while (k + 1 < end && (has(finder, k, MR_LEX_FIRST_NAME) ||
                              word_at(finder, k)->shape & MR_SHAPE_ONE || !is_capital(finder, k)))
        k++;
    if (k == i && k + 1 < end) /* a given name that is in no list */
        k++;
    /* a double name: Müller-Lüdenscheidt */
    while (
        k + 1 < end && finder->text->bytes[word_at(finder, k)->at + word_at(finder, k)->len] == '-')
        k++;
    return k + 1;
}

/* "S.A.", "S.L.", "B.V.": two initials at the end. */
static bool ends_in_initials(const struct finder *finder, size_t i, size_t end)
{
    static const uint32_t initial = MR_SHAPE_ONE | MR_SHAPE_CAPITAL;
    if (end - i < 3)
        return false;
    const struct mr_word *last = word_at(finder, end - 1), *before = last - 1;
    return (last->shape & initial) == initial && (before->shape & initial) == initial &&
           finder->text->bytes[last->at - 1] == '.';
}

static bool is_org_run(const struct finder *finder, size_t i, size_t end)
{
    if (end - i < 2)
        return false;
    if (ends_in_initials(finder, i, end))
        return true;
    if (finder->german)
        return has(finder, end - 1, MR_LEX_ORG_WORD) || has(finder, i, MR_LEX_ORG_WORD);
    for (size_t k = i; k < end; k++)
        if (has(finder, k, MR_LEX_ORG_WORD))
            return true;
    return false;
}

static bool is_place_run(const struct finder *finder, size_t i, size_t end)
{
    if (end - i >= 2)
        return !finder->german &&
               (has(finder, i, MR_LEX_PLACE_WORD) || has(finder, end - 1, MR_LEX_PLACE_WORD));
    bool after_in = i > 0 && has(finder, i - 1, MR_LEX_IN) && !is_capital(finder, i - 1);
    return after_in && !finder->german && !(word_at(finder, i)->shape & MR_SHAPE_ALL_CAPS);
}

static bool is_said(const struct finder *finder, size_t i, size_t end)
{
    return (end < finder->end && has(finder, end, MR_LEX_SAID)) ||
           (i > 0 && has(finder, i - 1, MR_LEX_SAID));
}

/* "M. Dupont" in French, "J. R. Smith" anywhere. */
static bool is_initial(const struct finder *finder, size_t i, size_t end)
{
    const struct mr_word *word = word_at(finder, i);
    return word->shape & MR_SHAPE_ONE && i + 1 < end &&
           finder->text->bytes[word->at + word->len] == '.';
}

/* Where in the run a person's name begins; `end` = it holds none that can be told. */
static size_t find_person(const struct finder *finder, size_t i, size_t end)
{
    size_t k = i;
    bool french = finder->text->language == MR_LEX_STOP_FR;
    while (k < end && (has(finder, k, MR_LEX_TITLE) ||
                          (french && k == i && is_initial(finder, k, end) &&
                              finder->text->bytes[word_at(finder, k)->at] == 'M')))
        k++;
    bool before =
        i > 0 && has(finder, i - 1, MR_LEX_TITLE) && !(word_at(finder, i)->shape & MR_SHAPE_FIRST);
    if (k < end && (k > i || before || is_initial(finder, k, end)) &&
        !has(finder, k, MR_LEX_PLACE | MR_LEX_ORG_WORD))
        return k;
    for (k = i; k < end; k++)
        if (has(finder, k, MR_LEX_FIRST_NAME) && (k + 1 < end || is_said(finder, k, end)))
            return k;
    return end;
}

/* A surname alone, after the full name has been noted, is the same person. */
static void add_person(struct finder *finder, size_t from, size_t to)
{
    const struct mr_word *name = word_at(finder, from);
    const char *bytes = finder->text->bytes;
    for (size_t i = 0; to - from == 1 && i < finder->found->count; i++) {
        const struct mr_span *span = &finder->found->spans[i];
        if (span->entity == MR_ENTITY_PERSON && span->len > name->len &&
            memcmp(bytes + span->at + span->len - name->len, bytes + name->at, name->len) == 0)
            return;
    }
    add(finder, from, to, MR_ENTITY_PERSON);
}

/* Judges the run [i, end), notes what it is, and returns the word to go on with. */
static size_t judge_run(struct finder *finder, size_t i, size_t end)
{
    bool first = word_at(finder, i)->shape & MR_SHAPE_FIRST;
    if (is_org_run(finder, i, end) && !has(finder, i, MR_LEX_TITLE)) {
        add(finder, i, end, MR_ENTITY_ORGANIZATION);
        return end;
    }
    size_t name = find_person(finder, i, end);
    if (name < end) {
        size_t stop = person_end(finder, name, end);
        add_person(finder, name, stop);
        return stop;
    }
    if (has(finder, i, MR_LEX_FIRST_NAME) && !first && !finder->german) {
        add_person(finder, i, end);
        return end;
    }
    if (finder->headline || has(finder, end - 1, MR_LEX_TITLE))
        return end;
    if (is_place_run(finder, i, end))
        add(finder, i, end, MR_ENTITY_LOCATION);
    else if (!finder->german && !first && end - i >= 2 && end - i <= 4)
        add(finder, i, end, is_said(finder, i, end) ? MR_ENTITY_PERSON : MR_ENTITY_OTHER);
    return end;
}

/* "(XYZ)" right behind an organization is its short name. */
static bool is_short_name(const struct finder *finder, size_t i)
{
    const struct mr_word *word = word_at(finder, i);
    const struct mr_found *found = finder->found;
    if (!(word->shape & MR_SHAPE_ALL_CAPS) || word->at < 2 || found->count == 0)
        return false;
    const struct mr_span *last = &found->spans[found->count - 1];
    return last->entity == MR_ENTITY_ORGANIZATION && last->at + last->len + 2 == word->at &&
           memcmp(finder->text->bytes + word->at - 2, " (", 2) == 0;
}

/* Handles the word at i and returns the next one to look at. */
static size_t step(struct finder *finder, size_t i)
{
    if (!is_free(finder, i) || !is_capital(finder, i))
        return i + 1;
    uint32_t bits = 0;
    size_t phrase = find_phrase(finder, i, &bits);
    size_t end = find_run(finder, i);
    enum mr_entity listed = bits & MR_LEX_PLACE ? MR_ENTITY_LOCATION : MR_ENTITY_ORGANIZATION;
    /* A listed word inside a longer name says little: "Berlin Institute", "Florence Smith". */
    bool longer = i + phrase < end && phrase == 1 && !finder->german &&
                  (is_org_run(finder, i, end) || has(finder, i, MR_LEX_FIRST_NAME));
    /* In German an organization's legal form follows its name at once: "Siemens AG". */
    longer = longer || (finder->german && phrase == 1 && i + 2 <= end &&
                           has(finder, i + 1, MR_LEX_ORG_WORD) && is_joined(finder, i));
    bool meant = !(is_stop(finder, i) && phrase == 1);
    if (phrase > 0 && !longer && meant) {
        add(finder, i, i + phrase, listed);
        return i + phrase;
    }
    if (is_short_name(finder, i)) {
        add(finder, i, i + 1, MR_ENTITY_ORGANIZATION);
        return i + 1;
    }
    if (is_stop(finder, i) || has(finder, i, MR_LEX_NO_NAME | MR_LEX_MONTH))
        return i + 1;
    return judge_run(finder, i, end);
}

void mr_names_find(const struct mr_local_text *text, struct mr_found *found)
{
    struct finder finder = {
        .text = text, .found = found, .german = text->language == MR_LEX_STOP_DE};
    for (size_t s = 0; s < text->nsentences; s++) {
        const struct mr_sentence *sentence = &text->sentences[s];
        size_t capitals = 0;
        finder.end = sentence->first + sentence->nwords;
        for (size_t i = sentence->first; i < finder.end; i++)
            capitals += (text->words[i].shape & MR_SHAPE_CAPITAL) != 0;
        finder.headline = sentence->nwords > 3 && capitals * 10 > (size_t)sentence->nwords * 7;
        for (size_t i = sentence->first; i < finder.end;)
            i = step(&finder, i);
    }
}
