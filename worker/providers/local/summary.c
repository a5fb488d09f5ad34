/* A sentence is telling when it is like many others that are telling (LexRank): sentences are
 * vectors of TF-IDF weights, their cosines the edges of a graph, and a walk on that graph, biased
 * towards the beginning of the document, visits the central ones most. Of two that say the same
 * only one is taken (MMR). */
#include "worker/providers/local/summary.h"

#include "worker/providers/local/lexicon.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 400 /* sentences that are compared; of more, an even sample */
#define EDGE_MIN 0.05f
#define DAMPING 0.85f
#define STEPS_MAX 40
#define SAME 0.6f /* cosine above which a sentence repeats another */

/* A word's stem in a sentence. */
struct entry {
    uint64_t stem;
    uint32_t node, count;
    float weight;
};

struct graph {
    uint32_t sentence[NODES_MAX];
    size_t nodes;
    struct entry *entries;
    size_t nentries;
    float *cosine; /* nodes x nodes */
    float rank[NODES_MAX], norm[NODES_MAX];
};

static void graph_deinit(struct graph *graph)
{
    free(graph->entries);
    free(graph->cosine);
}

static void pick_nodes(struct graph *graph, const struct mr_local_text *text)
{
    size_t whole = 0, seen = 0;
    for (size_t i = 0; i < text->nsentences; i++)
        whole += !text->sentences[i].fragment;
    /* Headings and list items speak only where there is nothing else. */
    size_t all = whole > 0 ? whole : text->nsentences;
    for (size_t i = 0; i < text->nsentences; i++) {
        if (whole > 0 && text->sentences[i].fragment)
            continue;
        if (all <= NODES_MAX || seen * NODES_MAX / all == graph->nodes)
            graph->sentence[graph->nodes++] = (uint32_t)i;
        seen++;
    }
}

static int by_stem(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->stem != y->stem)
        return x->stem < y->stem ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

/* All content words, sorted by stem, one entry for a stem in a sentence. */
static int collect(struct graph *graph, const struct mr_local_text *text)
{
    size_t n = 0;
    for (size_t i = 0; i < graph->nodes; i++)
        n += text->sentences[graph->sentence[i]].nwords;
    graph->entries = malloc((n + 1) * sizeof(*graph->entries));
    graph->cosine = calloc(graph->nodes * graph->nodes + 1, sizeof(*graph->cosine));
    if (!graph->entries || !graph->cosine)
        return -ENOMEM;
    n = 0;
    for (size_t i = 0; i < graph->nodes; i++) {
        const struct mr_sentence *sentence = &text->sentences[graph->sentence[i]];
        for (size_t k = 0; k < sentence->nwords; k++) {
            const struct mr_word *word = &text->words[sentence->first + k];
            bool stop = word->bits & (text->language ? text->language : MR_LEX_STOP);
            if (!stop && !(word->shape & MR_SHAPE_ONE && word->len == 1))
                graph->entries[n++] = (struct entry){word->stem, (uint32_t)i, 1, 0};
        }
    }
    qsort(graph->entries, n, sizeof(*graph->entries), by_stem);
    for (size_t i = 0; i < n; i++) {
        struct entry *last = graph->nentries > 0 ? &graph->entries[graph->nentries - 1] : NULL;
        if (last && by_stem(last, &graph->entries[i]) == 0)
            last->count++;
        else
            graph->entries[graph->nentries++] = graph->entries[i];
    }
    return 0;
}

/* Weighs the entries, and adds up the dot products stem by stem. */
static void connect(struct graph *graph)
{
    size_t n = graph->nodes;
    for (size_t i = 0, end; i < graph->nentries; i = end) {
        for (end = i; end < graph->nentries && graph->entries[end].stem == graph->entries[i].stem;)
            end++;
        float idf = logf((float)(n + 1) / (float)(end - i));
        for (size_t a = i; a < end; a++) {
            struct entry *x = &graph->entries[a];
            x->weight = idf * (1 + logf((float)x->count));
            graph->norm[x->node] += x->weight * x->weight;
            for (size_t b = i; b < a; b++) /* nodes ascend within a stem */
                graph->cosine[x->node * n + graph->entries[b].node] +=
                    x->weight * graph->entries[b].weight;
        }
    }
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b < a; b++) {
            float norm = sqrtf(graph->norm[a] * graph->norm[b]);
            float dot = graph->cosine[a * n + b];
            dot = norm > 0 ? dot / norm : 0;
            graph->cosine[a * n + b] = graph->cosine[b * n + a] = dot;
        }
}

static float edge(const struct graph *graph, size_t a, size_t b)
{
    float cosine = graph->cosine[a * graph->nodes + b];
    return cosine >= EDGE_MIN ? cosine : 0;
}

/* Power iteration; the jump goes to early sentences more often than to late ones. */
static void walk(struct graph *graph)
{
    size_t n = graph->nodes;
    float degree[NODES_MAX] = {0}, prior[NODES_MAX], next[NODES_MAX], sum = 0;
    for (size_t a = 0; a < n; a++) {
        prior[a] = 1 + 2.0f / (float)(1 + a);
        sum += prior[a];
        for (size_t b = 0; b < n; b++)
            degree[a] += edge(graph, a, b);
    }
    for (size_t a = 0; a < n; a++)
        graph->rank[a] = prior[a] /= sum;
    float change = 1;
    for (int step = 0; step < STEPS_MAX && change > 1e-4f; step++) {
        float lost = 0; /* rank of sentences without edges goes to the prior */
        for (size_t a = 0; a < n; a++)
            lost += degree[a] > 0 ? 0 : graph->rank[a];
        change = 0;
        for (size_t a = 0; a < n; a++) {
            float in = lost * prior[a];
            for (size_t b = 0; b < n; b++)
                if (degree[b] > 0)
                    in += graph->rank[b] * edge(graph, a, b) / degree[b];
            next[a] = (1 - DAMPING) * prior[a] + DAMPING * in;
            change += fabsf(next[a] - graph->rank[a]);
        }
        memcpy(graph->rank, next, n * sizeof(next[0]));
    }
}

/* Very short sentences say little, and very long ones are not a summary. A question is rarely the
 * answer. */
static float fitness(const struct mr_local_text *text, const struct mr_sentence *sentence)
{
    float fit = 1;
    if (sentence->nwords < 5)
        fit *= 0.4f;
    else if (sentence->nwords > 45)
        fit *= 0.7f;
    if (text->bytes[sentence->at + sentence->len - 1] == '?')
        fit *= 0.6f;
    return fit;
}

/* Takes sentences by rank, each time the one that adds most to those taken. */
static void choose(
    struct graph *graph, const struct mr_local_text *text, bool taken[static NODES_MAX])
{
    size_t want = (graph->nodes + 3) / 4;
    if (want > MR_SUMMARY_SENTENCES)
        want = MR_SUMMARY_SENTENCES;
    float top = 0, like[NODES_MAX] = {0};
    for (size_t a = 0; a < graph->nodes; a++) {
        graph->rank[a] *= fitness(text, &text->sentences[graph->sentence[a]]);
        top = fmaxf(top, graph->rank[a]);
    }
    for (size_t k = 0; k < want; k++) {
        size_t best = graph->nodes;
        float best_gain = -1e9f;
        for (size_t a = 0; a < graph->nodes; a++) {
            float gain = 0.75f * (top > 0 ? graph->rank[a] / top : 0) - 0.25f * like[a];
            if (!taken[a] && like[a] < SAME && gain > best_gain) {
                best = a;
                best_gain = gain;
            }
        }
        if (best == graph->nodes)
            return;
        taken[best] = true;
        for (size_t a = 0; a < graph->nodes; a++)
            like[a] = fmaxf(like[a], graph->cosine[a * graph->nodes + best]);
    }
}

static int write_sentences(const struct graph *graph, const struct mr_local_text *text,
    const bool taken[static NODES_MAX], size_t max_bytes, struct mr_buf *buf)
{
    size_t start = buf->len;
    for (size_t a = 0; a < graph->nodes; a++) {
        const struct mr_sentence *sentence = &text->sentences[graph->sentence[a]];
        bool room = buf->len == start || buf->len - start + sentence->len < max_bytes;
        if (!taken[a] || !room)
            continue;
        int rc = buf->len > start ? mr_buf_putc(buf, ' ') : 0;
        if (rc == 0)
            rc = mr_local_text_tidy(buf, text->bytes + sentence->at, sentence->len);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int mr_summary_write(const struct mr_local_text *text, size_t max_bytes, struct mr_buf *buf)
{
    struct graph graph MR_CLEANUP(graph_deinit) = {0};
    bool taken[NODES_MAX] = {false};
    pick_nodes(&graph, text);
    int rc = collect(&graph, text);
    if (rc < 0)
        return rc;
    connect(&graph);
    walk(&graph);
    choose(&graph, text, taken);
    return write_sentences(&graph, text, taken, max_bytes, buf);
}
