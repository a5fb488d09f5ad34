#include "tests/unit/test.h"
#include "worker/providers/local/lexicon.h"
#include "worker/providers/local/text.h"
#include "worker/providers/local/valid.h"

/* The sentences of s, joined by '|'. */
static const char *split(const char *s, char ret[static 4096])
{
    struct mr_local_text text;
    CHECK(mr_local_text_init(&text, s, strlen(s)) == 0);
    size_t n = 0;
    for (size_t i = 0; i < text.nsentences; i++) {
        const struct mr_sentence *sentence = &text.sentences[i];
        CHECK(n + sentence->len + 2 < 4096);
        if (i > 0)
            ret[n++] = '|';
        memcpy(ret + n, s + sentence->at, sentence->len);
        n += sentence->len;
    }
    ret[n] = '\0';
    mr_local_text_deinit(&text);
    return ret;
}

static void sentences_end_where_they_should(void)
{
    static const char *const rows[][2] = {
        {"One. Two! Three? Four", "One.|Two!|Three?|Four"},
        {"Mr. J. Smith met Dr. No at 3.5 p.m. today. He left.",
            "Mr. J. Smith met Dr. No at 3.5 p.m. today.|He left."},
        {"Wir kommen am 3. März, z. B. mit Dr. Meier. Dann essen wir.",
            "Wir kommen am 3. März, z. B. mit Dr. Meier.|Dann essen wir."},
        {"Il est 5 h. M. Dupont arrive. Élise part.", "Il est 5 h. M. Dupont arrive.|Élise part."},
        {"El Sr. García vive aquí. ¿Dónde? ¡Aquí!", "El Sr. García vive aquí.|¿Dónde?|¡Aquí!"},
        {"\"Stop!\" he said. \"Why?\" She ran.", "\"Stop!\" he said.|\"Why?\"|She ran."},
        {"(One.) « Deux. » „Drei.“", "(One.)|« Deux. »|„Drei.“"},
        {"Heading\n\nText goes on\nhere. End.", "Heading|Text goes on\nhere.|End."},
        {"List:\n- one\n- two\n", "List|one|two"},
        {"See example.com or v1.2.3 for more. Bye.", "See example.com or v1.2.3 for more.|Bye."},
        {"今日は晴れ。明日は雨。", "今日は晴れ。|明日は雨。"},
        {"", ""},
        {" ... !!! \n", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char got[4096];
        CHECK_STR(split(rows[i][0], got), rows[i][1]);
    }
}

static void words_fold_case(void)
{
    static const char s[] = "ÄRGER ärger Łódź łódź МОСКВА Москва ΑΘΗΝΑ αθηνα";
    struct mr_local_text text;
    CHECK(mr_local_text_init(&text, s, sizeof(s) - 1) == 0);
    CHECK_INT(text.nwords, 8);
    for (size_t i = 0; i < 8; i += 2)
        CHECK(text.words[i].hash == text.words[i + 1].hash);
    CHECK(text.words[0].shape & MR_SHAPE_ALL_CAPS);
    CHECK(!(text.words[1].shape & MR_SHAPE_CAPITAL));
    mr_local_text_deinit(&text);
}

static unsigned language_of(const char *s)
{
    struct mr_local_text text;
    CHECK(mr_local_text_init(&text, s, strlen(s)) == 0);
    unsigned language = text.language;
    mr_local_text_deinit(&text);
    return language;
}

static void languages_are_told_apart(void)
{
    CHECK_INT(language_of("The cat is on the table and it does not move."), MR_LEX_STOP_EN);
    CHECK_INT(language_of("Die Katze liegt auf dem Tisch und bewegt sich nicht."), MR_LEX_STOP_DE);
    CHECK_INT(language_of("Le chat est sur la table et il ne bouge pas du tout."), MR_LEX_STOP_FR);
    CHECK_INT(language_of("El gato está en la mesa y no se mueve para nada."), MR_LEX_STOP_ES);
    CHECK_INT(language_of("Il gatto è sul tavolo e non si muove da ieri."), MR_LEX_STOP_IT);
    CHECK_INT(language_of("O gato está em cima da mesa e não se mexe."), MR_LEX_STOP_PT);
    CHECK_INT(language_of("De kat ligt op de tafel en beweegt niet."), MR_LEX_STOP_NL);
    CHECK_INT(language_of("xyzzy 123"), 0);
}

static void long_sentences_are_broken(void)
{
    static char s[20001];
    for (size_t i = 0; i + 5 <= 20000; i += 5)
        memcpy(s + i, "word ", 5);
    struct mr_local_text text;
    CHECK(mr_local_text_init(&text, s, 20000) == 0);
    CHECK(text.nsentences > 10);
    for (size_t i = 0; i < text.nsentences; i++)
        CHECK(text.sentences[i].len <= MR_SENTENCE_BYTES + 5);
    mr_local_text_deinit(&text);
}

#define VALID(fn, s) fn(s, strlen(s))

static void validators(void)
{
    CHECK_INT(VALID(mr_valid_iban, "DE89370400440532013000"), 22);
    CHECK_INT(VALID(mr_valid_iban, "GB29 NWBK 6016 1331 9268 19"), 27);
    CHECK_INT(VALID(mr_valid_iban, "NO93 8601 1117 947"), 18);
    CHECK_INT(VALID(mr_valid_iban, "GB29 NWBK 6016 1331 9268 19 BIC"), 27);
    CHECK_INT(VALID(mr_valid_iban, "GB29 NWBK 6016 1331 9268 18"), 0);
    CHECK_INT(VALID(mr_valid_iban, "ZZ89370400440532013000"), 0);
    CHECK(VALID(mr_valid_card, "4111 1111 1111 1111") > 0);
    CHECK(VALID(mr_valid_card, "378282246310005") > 0);
    CHECK_INT(VALID(mr_valid_card, "4111 1111 1111 1112"), 0);
    CHECK_INT(VALID(mr_valid_card, "0000 0000 0000 0000"), 0);
    CHECK_INT(VALID(mr_valid_card, "4444 4444 4444 4444"), 0);
    CHECK(VALID(mr_valid_date, "2024-02-29") > 0);
    CHECK_INT(VALID(mr_valid_date, "2023-02-29"), 0);
    CHECK_INT(VALID(mr_valid_date, "2023-13-01"), 0);
    CHECK(VALID(mr_valid_date, "31.12.2024") > 0);
    CHECK_INT(VALID(mr_valid_date, "31.11.2024"), 0);
    CHECK(VALID(mr_valid_date, "12/31/2024") > 0);
    CHECK(VALID(mr_valid_date, "3 March 2024") > 0);
    CHECK_INT(VALID(mr_valid_date, "39 March 2024"), 0);
    CHECK_INT(VALID(mr_valid_url, "https://a.example/b(c)."), 22);
    CHECK_INT(VALID(mr_valid_url, "https://a.example/b),"), 19);
    CHECK_INT(VALID(mr_valid_url, "http://nodot"), 0);
    CHECK(VALID(mr_valid_phone, "+49 (0341) 123 456") > 0);
    CHECK_INT(VALID(mr_valid_phone, "+49 341"), 0);
}

TEST_MAIN(TEST(sentences_end_where_they_should), TEST(words_fold_case),
    TEST(languages_are_told_apart), TEST(long_sentences_are_broken), TEST(validators))
