#include "worker/providers/local/label.h"

#include "common/json.h"
#include "worker/providers/local/lexicon.h"
#include "worker/providers/utf8.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define LABEL_WORDS_MAX 4096 /* words of the document that are looked at */

/* What documents of a kind talk about. A label is matched with a topic when it contains its name.
 */
static const struct topic {
    const char *name;
    const char *words;
} topics[] = {
    {"invoice",
        "invoice rechnung facture factura fattura fatura factuur vat mwst tva iva amount due "
        "total payable iban subtotal"},
    {"contract", "contract agreement vertrag contrat contrato contratto overeenkomst party parties "
                 "clause hereby termination liability"},
    {"complaint", "complaint complain beschwerde réclamation queja reclamo klacht disappointed "
                  "unacceptable refund broken defective kaputt"},
    {"support", "help support problem issue error install login password crash hilfe fehler ayuda "
                "aide assistance"},
    {"order",
        "order ordered delivery shipping bestellung lieferung commande livraison pedido envío "
        "ordine bestelling"},
    {"resume", "resume curriculum vitae experience skills education lebenslauf berufserfahrung"},
    {"legal", "court law judge plaintiff gericht gesetz urteil tribunal loi ley juez statute"},
    {"finance", "bank market stocks shares revenue profit inflation umsatz gewinn börse bourse "
                "marché mercado investors budget"},
    {"sport",
        "match team goal player league season coach spiel mannschaft tor équipe joueur partido "
        "equipo jugador championship"},
    {"politic", "government election parliament minister president party vote regierung wahl "
                "gouvernement élection gobierno elecciones senate"},
    {"tech", "software computer data internet app device chip algorithm code developer technology"},
    {"health", "patient doctor hospital disease treatment medical health arzt krankheit gesundheit "
               "santé maladie salud enfermedad vaccine"},
    {"science", "research study scientists university experiment forschung studie recherche étude "
                "investigación estudio laboratory"},
    {"spam", "winner prize free click unsubscribe lottery viagra casino congratulations urgent"},
};

static uint64_t stem_of(const char *s, size_t n)
{
    uint64_t hash = MR_HASH_INIT;
    size_t letters = 0;
    for (size_t i = 0; i < n && letters < 6; letters++) {
        uint32_t c;
        i += mr_utf8_next(s + i, n - i, &c);
        hash = mr_hash_add(hash, mr_local_text_lower(c));
    }
    return hash;
}

/* How often words of the list occur in the document. Any ASCII punctuation parts the list's words.
 */
static unsigned count_words(const struct mr_local_text *text, const char *list)
{
    static const char parts[] = " _-/.,:;&()";
    size_t limit = text->nwords < LABEL_WORDS_MAX ? text->nwords : LABEL_WORDS_MAX;
    unsigned count = 0;
    while (*list) {
        size_t n = strcspn(list, parts);
        uint64_t stem = stem_of(list, n);
        for (size_t i = 0; i < limit && n > 0; i++)
            count += text->words[i].stem == stem;
        list += n + (list[n] != '\0');
    }
    return count;
}

static unsigned score_label(const struct mr_local_text *text, const char *label)
{
    unsigned score = 2 * count_words(text, label);
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
        if (strcasestr(label, topics[i].name))
            score += count_words(text, topics[i].words);
    return score;
}

/* The labels to choose from: the schema's own enum, or that of one of its properties. */
static const json_t *find_enum(const json_t *schema)
{
    const json_t *own = json_object_get(schema, "enum");
    const char *key;
    json_t *property;
    if (json_array_size(own) > 0)
        return own;
    json_object_foreach(json_object_get(schema, "properties"), key, property)
    {
        const json_t *labels = json_object_get(property, "enum");
        if (json_array_size(labels) > 0)
            return labels;
    }
    return NULL;
}

/* A value for a property the schema requires besides the label. */
static json_t *filler(const json_t *property, const char *label)
{
    const json_t *labels = json_object_get(property, "enum");
    if (json_array_size(labels) > 0)
        return json_incref(json_array_get(labels, 0));
    const char *type = json_string_value(json_object_get(property, "type"));
    if (!type || strcmp(type, "string") == 0)
        return json_string(label);
    if (strcmp(type, "number") == 0)
        return json_real(0.5);
    if (strcmp(type, "integer") == 0)
        return json_integer(0);
    if (strcmp(type, "boolean") == 0)
        return json_false();
    if (strcmp(type, "array") == 0)
        return json_array();
    return strcmp(type, "object") == 0 ? json_object() : json_null();
}

/* Wraps the label as the schema wants it: bare, or as the property that has the enum. */
static json_t *wrap(const json_t *schema, const json_t *labels, json_t *label)
{
    if (json_object_get(schema, "enum") == labels)
        return json_incref(label);
    json_t *answer = json_object();
    const json_t *properties = json_object_get(schema, "properties");
    const char *key;
    json_t *property;
    json_object_foreach((json_t *)properties, key, property)
    {
        if (json_object_get(property, "enum") == labels && json_object_set(answer, key, label) < 0)
            goto fail;
    }
    size_t i;
    json_t *required;
    json_array_foreach(json_object_get(schema, "required"), i, required)
    {
        const char *name = json_string_value(required);
        if (name && !json_object_get(answer, name) &&
            json_object_set_new(answer, name,
                filler(json_object_get(properties, name), json_string_value(label))) < 0)
            goto fail;
    }
    return answer;
fail:
    json_decref(answer);
    return NULL;
}

static int put_label(const json_t *schema, const json_t *labels, size_t best, struct mr_buf *buf)
{
    json_t *answer MR_CLEANUP(mr_json_decrefp) = wrap(schema, labels, json_array_get(labels, best));
    return answer ? mr_json_dump(answer, buf) : -ENOMEM;
}

static int read_labels(
    const char *text, json_t **ret_schema, const json_t **ret_labels, struct mr_err *err)
{
    json_t *schema MR_CLEANUP(mr_json_decrefp) = json_loads(text, JSON_DECODE_ANY, NULL);
    const json_t *labels = find_enum(schema);
    size_t i;
    json_t *label;
    bool good = json_array_size(labels) > 0;
    json_array_foreach((json_t *)labels, i, label) good = good && json_is_string(label);
    if (!good)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "the local provider labels only by a schema whose enum lists the labels as strings");
    *ret_schema = json_incref(schema);
    *ret_labels = labels;
    return 0;
}

static bool is_leftover(const char *label)
{
    static const char *const names[] = {"other", "none", "unknown", "misc", "general", "neutral"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strncasecmp(label, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

int mr_label_class(const struct mr_local_text *text, const char *schema_text, struct mr_buf *buf,
    struct mr_err *err)
{
    unsigned top = 0;
    size_t best = 0, i;
    if (!schema_text) {
        for (i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
            unsigned score = score_label(text, topics[i].name);
            best = score > top ? i : best;
            top = score > top ? score : top;
        }
        return mr_buf_puts(buf, top > 0 ? topics[best].name : "other");
    }
    json_t *schema MR_CLEANUP(mr_json_decrefp) = NULL;
    const json_t *labels;
    int rc = read_labels(schema_text, &schema, &labels, err);
    if (rc < 0)
        return rc;
    json_t *label;
    json_array_foreach((json_t *)labels, i, label)
    {
        unsigned score = score_label(text, json_string_value(label));
        if (score > top || (top == 0 && is_leftover(json_string_value(label)))) {
            best = i;
            top = score;
        }
    }
    return put_label(schema, labels, best, buf);
}

/* Praise minus complaint, each turned around by a negation up to three words before it. */
static int mood_of(const struct mr_local_text *text, int *ret_weight)
{
    int mood = 0, weight = 0;
    for (size_t i = 0; i < text->nwords; i++) {
        uint32_t bits = text->words[i].bits;
        int value = bits & MR_LEX_GOOD ? 2 : bits & MR_LEX_BAD ? -2 : 0;
        if (value == 0 || (bits & MR_LEX_GOOD && bits & MR_LEX_BAD))
            continue;
        bool turned = false;
        for (size_t k = 1; k <= 3 && k <= i; k++) {
            if (text->words[i - k + 1].shape & MR_SHAPE_FIRST)
                break;
            uint32_t before = text->words[i - k].bits;
            turned = turned || before & MR_LEX_NOT;
            value += before & MR_LEX_VERY && k == 1 ? value / 2 : 0;
        }
        mood += turned ? -value : value;
        weight += value < 0 ? -value : value;
    }
    *ret_weight = weight;
    return mood;
}

static const char *mood_name(const struct mr_local_text *text)
{
    int weight, mood = mood_of(text, &weight);
    /* A fifth of everything said must point one way. */
    if (mood * 5 > weight)
        return "positive";
    return mood * -5 > weight ? "negative" : "neutral";
}

int mr_label_sentiment(const struct mr_local_text *text, const char *schema_text,
    struct mr_buf *buf, struct mr_err *err)
{
    const char *mood = mood_name(text);
    if (!schema_text)
        return mr_buf_puts(buf, mood);
    json_t *schema MR_CLEANUP(mr_json_decrefp) = NULL;
    const json_t *labels;
    int rc = read_labels(schema_text, &schema, &labels, err);
    if (rc < 0)
        return rc;
    size_t i, best = 0;
    json_t *label;
    json_array_foreach((json_t *)labels, i, label)
    {
        if (strncasecmp(json_string_value(label), mood, 3) == 0) {
            best = i;
            break;
        }
        if (is_leftover(json_string_value(label)) ||
            strncasecmp(json_string_value(label), "mixed", 5) == 0)
            best = i;
    }
    return put_label(schema, labels, best, buf);
}
