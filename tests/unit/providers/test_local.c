#include "common/embed.h"
#include "common/json.h"
#include "common/schema.h"
#include "tests/unit/providers/samples.h"
#include "tests/unit/providers/support.h"
#include "worker/providers/local.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

static int ask_bytes(const char *task, const char *bytes, size_t n, const char *schema, char **ret,
    struct mr_err *err)
{
    struct mr_chat chat = {.task = task, .schema_text = schema, .max_tokens = 1024};
    chat.messages[0] = (struct mr_chat_message){
        .role = MR_ROLE_USER, .text = (char *)bytes, .len = n, .data_len = n};
    chat.nmessages = 1;
    json_t *answer;
    int rc = mr_local_answer(&chat, &answer, err);
    if (rc == 0) {
        const json_t *text = json_object_get(answer, "text");
        CHECK(json_is_string(text));
        CHECK(mr_utf8_valid(json_string_value(text), json_string_length(text)));
        *ret = strdup(json_string_value(text));
        json_decref(answer);
    }
    return rc;
}

static char *ask(const char *task, const char *text, const char *schema)
{
    char *answer;
    struct mr_err err;
    CHECK_INT(ask_bytes(task, text, strlen(text), schema, &answer, &err), 0);
    return answer;
}

/* Every wanted "type text" is found; nothing of the unwanted is. Lists end with NULL. */
static void check_entities(const char *text, const char *const *wanted, const char *const *unwanted)
{
    char *answer = ask("entities", text, NULL);
    char needle[600];
    for (; *wanted; wanted++) {
        const char *blank = strchr(*wanted, ' ');
        snprintf(needle, sizeof(needle), "{\"type\":\"%.*s\",\"text\":\"%s\"}",
            (int)(blank - *wanted), *wanted, blank + 1);
        if (!strstr(answer, needle))
            fprintf(stderr, "# missing: %s\n# in: %s\n", needle, answer);
        CHECK(strstr(answer, needle));
    }
    for (; unwanted && *unwanted; unwanted++) {
        snprintf(needle, sizeof(needle), "\"text\":\"%s\"", *unwanted);
        if (strstr(answer, needle))
            fprintf(stderr, "# should not be: %s\n# in: %s\n", needle, answer);
        CHECK(!strstr(answer, needle));
    }
    free(answer);
}

static void entities_in_english(void)
{
    static const char *const wanted[] = {"location Bristol", "date Tuesday, 14 March 2023",
        "money £120 million", "percent 25 percent", "person Marvin Rees", "person Sarah Thompson",
        "location Park Street", "organization University of Bristol", "location Utrecht",
        "person Helen Carter", "percent 18%", "organization European Commission",
        "date May 2, 2022", "email transport@bristol.example", "phone +44 117 922 2000",
        "url https://www.bristol.example/transport-plan", "iban GB29 NWBK 6016 1331 9268 19",
        "organization Balfour Builders Ltd", "organization J. R. Hughes & Sons Ltd",
        "location Cardiff", NULL};
    static const char *const unwanted[] = {
        "Critics", "Tuesday", "Work", "Residents", "2,400", "Under", "Mayor", NULL};
    check_entities(sample_en, wanted, unwanted);
}

static void entities_in_german(void)
{
    static const char *const wanted[] = {"location Leipzig", "date 3. Mai 2024",
        "money 85 Millionen Euro", "organization Stadtwerke Leipzig GmbH", "person Burkhard Jung",
        "percent 30 Prozent", "organization Siemens AG", "person Anna Schneider",
        "person Thomas Krüger", "phone 0341 1230", "email wasser@leipzig.example",
        "iban DE89 3704 0044 0532 0130 00", "date 31.12.2024", "money 12,50 €", NULL};
    static const char *const unwanted[] = {"Menschen", "Wasserwerk", "Baukosten", "Streit",
        "Schneider", "Freitag", "Zusammenarbeit", "Pumpen", NULL};
    check_entities(sample_de, wanted, unwanted);
}

static void entities_in_french_and_spanish(void)
{
    static const char *const wanted_fr[] = {"location Nantes", "date jeudi 12 octobre 2023",
        "money 150 millions d'euros", "person Johanna Rolland", "organization Université de Nantes",
        "percent 20 %", "person Pierre Lefèvre", "phone +33 2 40 41 90 00", "organization SNCF",
        "date 1er mars 2027", NULL};
    static const char *const wanted_es[] = {"organization Ayuntamiento de Valencia",
        "date 5 de junio de 2024", "money 8 millones de euros", "person María José Catalá",
        "organization Universidad de Sevilla", "percent 15 %", "person Javier Ortega",
        "organization Jardines del Turia S.L", "location Portugal",
        "email arboles@valencia.example", "url www.valencia.example/arboles", NULL};
    check_entities(sample_fr, wanted_fr, NULL);
    check_entities(sample_es, wanted_es, NULL);
}

static void entities_of_every_form(void)
{
    static const char *const wanted[] = {"card 4111 1111 1111 1111", "date 2024-02-29",
        "date 2024-02-29T10:00:00Z", "money $1,234.56", "money EUR 99", "money 3.5 billion dollars",
        "phone (212) 555-0100", "phone 555-010-0199", "url http://a.example/x_(y)",
        "email first.last+tag@sub.a.example", "percent 3,5 ‰", "date December 2021", NULL};
    static const char *const unwanted[] = {
        "4111 1111 1111 1112", "2023-02-30", "1.2.3", "DE00 3704 0044 0532 0130 00", "user@", NULL};
    check_entities("Card 4111 1111 1111 1111, not 4111 1111 1111 1112. On 2024-02-29 at "
                   "2024-02-29T10:00:00Z, never on 2023-02-30. It cost $1,234.56 or EUR 99, not "
                   "3.5 billion dollars. Call (212) 555-0100 or 555-010-0199 (version 1.2.3). "
                   "See (http://a.example/x_(y)). Write to first.last+tag@sub.a.example or user@. "
                   "A rate of 3,5 ‰ since December 2021. No DE00 3704 0044 0532 0130 00.",
        wanted, unwanted);
}

static void entities_are_reported_once_and_conform(void)
{
    const struct mr_embedded *file = mr_embedded_find("schemas/entities.schema.json");
    struct mr_schema *schema;
    struct mr_err err;
    CHECK(file && mr_schema_compile(file->text, file->len, "entities", &schema, &err) == 0);
    const char *const samples[] = {sample_en, sample_de, sample_fr, sample_es, "", "\n", "x"};
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        char *answer = ask("entities", samples[i], file->text);
        CHECK_INT(mr_schema_validate(schema, answer, strlen(answer), &err), 0);
        free(answer);
    }
    char *answer = ask("entities", "In Berlin. To Berlin! Berlin?\nNew\nYork, \"New York\".", NULL);
    CHECK_STR(answer, "{\"entities\":[{\"type\":\"location\",\"text\":\"Berlin\"},"
                      "{\"type\":\"location\",\"text\":\"New York\"}]}");
    free(answer);
    mr_schema_free(schema);
}

static size_t count_sentences(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += *s == '.' && (s[1] == ' ' || s[1] == '\0');
    return n;
}

/* A summary is shorter than a half, of at most five sentences, each verbatim from the text, and it
 * says what matters. */
static void check_summary(const char *text, const char *const *wanted)
{
    char *answer = ask("summary", text, NULL);
    CHECK(strlen(answer) > 0 && strlen(answer) < strlen(text) / 2);
    CHECK(count_sentences(answer) <= 5);
    for (; *wanted; wanted++) {
        if (!strstr(answer, *wanted))
            fprintf(stderr, "# missing: %s\n# in: %s\n", *wanted, answer);
        CHECK(strstr(answer, *wanted));
    }
    free(answer);
}

static void summaries(void)
{
    check_summary(sample_en, (const char *const[]){"approved a new transport plan", "tram", NULL});
    check_summary(sample_de, (const char *const[]){"am 3. Mai 2024 ein neues Wasserwerk", NULL});
    check_summary(sample_fr, (const char *const[]){"a voté jeudi 12 octobre 2023", NULL});
    check_summary(sample_es, (const char *const[]){"un plan para plantar 10.000 árboles", NULL});
}

static void summaries_say_things_once(void)
{
    char *answer = ask("summary",
        "The bridge will close in May for repairs. Traffic goes over the old road. The bridge will "
        "close in May for repairs. Boats may pass at night. The bridge will close in May for "
        "repairs. The mayor is sorry about the noise. Nobody knows what it will cost. The bridge "
        "will close in May for repairs.",
        NULL);
    const char *first = strstr(answer, "bridge will close");
    CHECK(first && !strstr(first + 1, "bridge will close"));
    free(answer);
}

static void small_summaries(void)
{
    static const char *const rows[][2] = {{"", ""}, {" \n. ", ""}, {"Hello", "Hello"},
        {"Only\n  one   sentence.", "Only one sentence."}, {"A\x01z\xff b.", "A z\xef\xbf\xbd b."}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *answer = ask("summary", rows[i][0], NULL);
        CHECK_STR(answer, rows[i][1]);
        free(answer);
    }
}

static void labels(void)
{
    static const char schema[] = "{\"type\":\"object\",\"required\":[\"kind\",\"sure\"],"
                                 "\"properties\":{\"kind\":{\"enum\":[\"invoice\",\"complaint\","
                                 "\"other\"]},\"sure\":{\"type\":\"boolean\"}}}";
    static const struct {
        const char *task, *text, *schema, *says;
    } rows[] = {
        {"class", "Invoice no. 7. Total amount due: 30 EUR incl. VAT.", schema,
            "{\"kind\":\"invoice\",\"sure\":false}"},
        {"class", "I am very disappointed. The lamp is broken, I want a refund.", schema,
            "{\"kind\":\"complaint\",\"sure\":false}"},
        {"class", "Nice weather today.", schema, "{\"kind\":\"other\",\"sure\":false}"},
        {"class", "Rechnung: Betrag 30 EUR zzgl. MwSt.", NULL, "invoice"},
        {"sentiment", "Great service, very friendly. I love it!", NULL, "positive"},
        {"sentiment", "Das Essen war schlecht und der Kellner unfreundlich.", NULL, "negative"},
        {"sentiment", "The food was not good.", NULL, "negative"},
        {"sentiment", "The meeting is at ten.", NULL, "neutral"},
        {"sentiment", "Je suis déçu, le produit est cassé.",
            "{\"enum\":[\"POSITIVE\",\"NEGATIVE\",\"NEUTRAL\"]}", "\"NEGATIVE\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *answer = ask(rows[i].task, rows[i].text, rows[i].schema);
        CHECK_STR(answer, rows[i].says);
        free(answer);
    }
}

static void refuses_what_it_cannot_do(void)
{
    char *answer;
    struct mr_err err;
    CHECK_INT(ask_bytes("translate", "x", 1, NULL, &answer, &err), -EINVAL);
    CHECK_INT(err.class, MR_CLASS_INVALID);
    CHECK_INT(ask_bytes("class", "x", 1, "{\"type\":\"object\"}", &answer, &err), -EINVAL);
    CHECK_INT(ask_bytes("class", "x", 1, "{\"enum\":[1,2]}", &answer, &err), -EINVAL);
    CHECK_INT(ask_bytes("sentiment", "x", 1, "not JSON", &answer, &err), -EINVAL);
}

static void codec_counts_usage_but_is_free(void)
{
    const struct mr_codec *codec = mr_codec_of(MR_PROVIDER_LOCAL);
    struct mr_endpoint endpoint = {.name = (char *)"local"};
    struct mr_model model = {.model = (char *)"summary"};
    struct mr_request request;
    struct mr_err err;
    CHECK_INT(codec->encode(&endpoint, make_chat(&model, "12345678", "Hello there.", NULL), 9,
                  &request, &err),
        0);
    CHECK(!request.url && request.timeout_ms == 9);
    struct mr_reply reply = {.transport = MR_TRANSPORT_LOCAL, .retry_after_ms = -1};
    CHECK_INT(mr_local_answer(request.chat, &reply.local, &err), 0);
    struct mr_answer answer;
    codec->decode(&request, &reply, &answer);
    CHECK_INT(answer.class, MR_CLASS_NONE);
    CHECK_STR(answer.text, "Hello there.");
    CHECK(answer.billed && !answer.usage_estimated);
    CHECK_INT(answer.usage.input, 5);
    CHECK_INT(answer.usage.output, 3);
    mr_answer_deinit(&answer);
    mr_reply_deinit(&reply);
    reply = (struct mr_reply){.transport = MR_TRANSPORT_LOCAL};
    (void)mr_err_set(&reply.local_err, 0, MR_CLASS_INVALID, "no such task");
    codec->decode(&request, &reply, &answer);
    CHECK_INT(answer.class, MR_CLASS_INVALID);
    CHECK_STR(answer.message, "no such task");
    CHECK(!answer.billed);
    mr_answer_deinit(&answer);
    reply = (struct mr_reply){.transport = MR_TRANSPORT_ABORTED};
    codec->decode(&request, &reply, &answer);
    CHECK_INT(answer.class, MR_CLASS_AMBIGUOUS);
    mr_answer_deinit(&answer);
    mr_request_deinit(&request);
}

static const char *const tasks[] = {"summary", "entities", "class", "sentiment"};

static void survives_random_bytes(void)
{
    unsigned state = 4711;
    for (int round = 0; round < 3000; round++) {
        static const char likely[] = "aA1 .@-+/:$%()\n,'&\xc3\xa9\xe2\x82\xac";
        char bytes[300];
        size_t n = (size_t)round % sizeof(bytes);
        for (size_t i = 0; i < n; i++) {
            state = state * 1103515245u + 12345u;
            bytes[i] =
                round % 2 ? (char)(state >> 16) : likely[(state >> 16) % (sizeof(likely) - 1)];
        }
        char *copy = malloc(n ? n : 1); /* so that a sanitizer sees one byte too many */
        memcpy(copy, bytes, n);
        for (size_t k = 0; k < 4; k++) {
            char *answer;
            struct mr_err err;
            CHECK_INT(ask_bytes(tasks[k], copy, n, NULL, &answer, &err), 0);
            free(answer);
        }
        free(copy);
    }
}

/* What would blow up a careless pattern or a quadratic loop, at the largest size. */
static void hostile_texts_take_no_time(void)
{
    static const char *const pieces[] = {"a@", "1 ", "12 ", "GB29 ", "Aa ", "J. ", ".", "7",
        "http://a.b ", "Maria ", "+12 34 ", "3 may ", "$1,000,", "1 m de ", "1.1%", "Aa-",
        "4111 1111 1111 1112 ", "University of ", "The cat sat on the mat with cats. ", "\n", "(",
        "é", "漢字。", "monday, the "};
    static char bytes[MR_LOCAL_TEXT_MAX];
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        size_t len = strlen(pieces[i]);
        for (size_t k = 0; k < sizeof(bytes); k++)
            bytes[k] = pieces[i][k % len];
        for (size_t k = 0; k < 4; k++) {
            char *answer;
            struct mr_err err;
            clock_t start = clock();
            CHECK_INT(ask_bytes(tasks[k], bytes, sizeof(bytes), NULL, &answer, &err), 0);
            CHECK(clock() - start < 2 * CLOCKS_PER_SEC); /* 0.05 s where nothing is instrumented */
            free(answer);
        }
    }
}

static void *ask_all(void *arg)
{
    for (int i = 0; i < 50; i++) {
        char *answer = ask(tasks[i % 4], i % 3 ? sample_en : sample_de, NULL);
        CHECK(strlen(answer) > 0);
        free(answer);
    }
    return arg;
}

static void many_threads_may_ask(void)
{
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, ask_all, NULL) == 0);
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

TEST_MAIN(TEST(entities_in_english), TEST(entities_in_german), TEST(entities_in_french_and_spanish),
    TEST(entities_of_every_form), TEST(entities_are_reported_once_and_conform), TEST(summaries),
    TEST(summaries_say_things_once), TEST(small_summaries), TEST(labels),
    TEST(refuses_what_it_cannot_do), TEST(codec_counts_usage_but_is_free),
    TEST(survives_random_bytes), TEST(hostile_texts_take_no_time), TEST(many_threads_may_ask))
