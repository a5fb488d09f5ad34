/* What somebody may have meant. */
#include "common/config_row.h"

#include <string.h>

#define WORD_MAX 64

static size_t edit_distance(const char *a, const char *b)
{
    size_t na = strnlen(a, WORD_MAX), nb = strnlen(b, WORD_MAX), row[WORD_MAX + 1];

    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}

void mr_nearest_offer(struct mr_nearest *nearest, const char *candidate)
{
    size_t distance = edit_distance(nearest->word, candidate);

    if (!nearest->best || distance < nearest->distance) {
        nearest->best = candidate;
        nearest->distance = distance;
    }
}

const char *mr_nearest_hint(const struct mr_nearest *nearest, char buf[static MR_NEAREST_LEN])
{
    size_t length = strlen(nearest->word);

    buf[0] = '\0';
    if (nearest->best && nearest->distance <= (length < 6 ? 2 : length / 3) &&
        nearest->distance < length)
        snprintf(buf, MR_NEAREST_LEN, "; did you mean '%.64s'?", nearest->best);
    return buf;
}
