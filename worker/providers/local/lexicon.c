#include "worker/providers/local/lexicon.h"

#include "worker/providers/local/text.h"
#include "worker/providers/utf8.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#define SLOTS 16384 /* a power of two; a lookup stays short while it is at most half full */

struct slot {
    uint64_t hash;
    uint32_t bits;
};

/* Written once under pthread_once, constant from then on. */
static struct {
    pthread_once_t once;
    struct slot slots[SLOTS];
    size_t used;
} lexicon = {.once = PTHREAD_ONCE_INIT};

static struct slot *slot_of(uint64_t hash)
{
    size_t i = (size_t)(hash ^ hash >> 32) & (SLOTS - 1);
    while (lexicon.slots[i].bits != 0 && lexicon.slots[i].hash != hash)
        i = (i + 1) & (SLOTS - 1);
    return &lexicon.slots[i];
}

static void add_list(const struct mr_word_list *list)
{
    const char *s = list->words;
    while (*s) {
        uint64_t hash = MR_HASH_INIT;
        size_t n = strcspn(s, " ");
        for (size_t i = 0; i < n;) {
            uint32_t c;
            i += mr_utf8_next(s + i, n - i, &c);
            hash = mr_hash_add(hash, c == '_' ? ' ' : mr_local_text_lower(c));
        }
        struct slot *slot = slot_of(hash);
        lexicon.used += slot->bits == 0;
        slot->hash = hash;
        slot->bits |= list->bits;
        s += n + (s[n] == ' ');
    }
}

static void build(void)
{
    static const struct mr_word_list *const all[] = {
        mr_lists_common, mr_lists_names, mr_lists_mood};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        for (const struct mr_word_list *list = all[i]; list->words; list++)
            add_list(list);
    assert(lexicon.used <= SLOTS / 2);
}

uint32_t mr_lexicon_find(uint64_t hash)
{
    int rc = pthread_once(&lexicon.once, build);
    assert(rc == 0);
    (void)rc;
    return slot_of(hash)->bits;
}
