/* The extractor with the real millrace-extract, over the sample documents and the hostile ones. */
#include "tests/unit/extract/server.h"
#include "tests/unit/test.h"
#include "worker/io/extractor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct {
    struct mr_extract_result items[64];
    void *tokens[64];
    size_t count;
} got;
static bool in_ops;

void mr_engine_extracted(struct mr_engine *engine, void *token, struct mr_extract_result *result)
{
    CHECK(!in_ops && got.count < 64);
    got.tokens[got.count] = token;
    got.items[got.count++] = *result;
    uv_stop((uv_loop_t *)engine); /* the engine of these tests is their loop */
}

struct bench {
    uv_loop_t loop;
    struct mr_config_worker config;
    struct mr_extractor *extractor;
    struct mr_extractor_ops ops;
    struct mr_envelope envelopes[64];
    struct mr_extract_job jobs[64];
    size_t started;
};

static struct bench *setup_with(struct mr_config_worker config)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct mr_err err;
    CHECK(b && uv_loop_init(&b->loop) == 0);
    b->config = config;
    int rc = mr_extractor_new(&b->loop, &b->config, MR_TEST_EXTRACT, &b->extractor, &err);
    if (rc != 0)
        fprintf(stderr, "# %s\n", err.msg);
    CHECK_INT(rc, 0);
    mr_extractor_start(b->extractor, (struct mr_engine *)&b->loop);
    b->ops = mr_extractor_ops(b->extractor);
    return b;
}

static struct bench *setup(void)
{
    return setup_with((struct mr_config_worker){.extract_processes = 2,
        .extract_memory_mb = 512,
        .extract_max_bytes = 4 << 20,
        .extract_max_text = 1 << 20});
}

static void note_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static void teardown(struct bench *b)
{
    bool closed = false;
    mr_extractor_close(b->extractor, note_closed, &closed);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    CHECK(closed);
    mr_extractor_free(b->extractor);
    CHECK_INT(uv_loop_close(&b->loop), 0);
    for (size_t i = 0; i < b->started; i++) {
        free(b->envelopes[i].input);
        free(b->envelopes[i].input_name);
        free(b->envelopes[i].input_media_type);
    }
    for (size_t i = 0; i < got.count; i++)
        json_decref(got.items[i].output);
    free(b);
}

static void *start(struct bench *b, enum mr_input_kind kind, const char *bytes, size_t n,
    const char *name, const char *type, int64_t timeout_ms)
{
    CHECK(b->started < 64);
    struct mr_envelope *envelope = &b->envelopes[b->started];
    struct mr_extract_job *job = &b->jobs[b->started++];
    envelope->input_kind = kind;
    envelope->input = malloc(n + 1);
    memcpy(envelope->input, bytes, n);
    envelope->input[n] = '\0';
    envelope->input_len = n;
    envelope->input_name = name ? strdup(name) : NULL;
    envelope->input_media_type = type ? strdup(type) : NULL;
    *job = (struct mr_extract_job){envelope, timeout_ms};
    in_ops = true;
    b->ops.start(b->ops.ctx, job, job);
    in_ops = false;
    return job;
}

static struct mr_extract_result *wait_for(struct bench *b, size_t count)
{
    while (got.count < count)
        uv_run(&b->loop, UV_RUN_DEFAULT);
    return &got.items[count - 1];
}

static struct mr_extract_result *extract(struct bench *b, enum mr_input_kind kind,
    const char *bytes, size_t n, const char *name, const char *type)
{
    start(b, kind, bytes, n, name, type, 20000);
    return wait_for(b, got.count + 1);
}

static struct mr_extract_result *extract_file(struct bench *b, const char *dir, const char *name)
{
    struct mr_buf bytes = MR_BUF_INIT(8 << 20);
    struct mr_err err;
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    CHECK_INT(mr_buf_read_file(&bytes, path, &err), 0);
    struct mr_extract_result *result =
        extract(b, MR_INPUT_BYTES, bytes.data ? bytes.data : "", bytes.len, name, NULL);
    mr_buf_deinit(&bytes);
    return result;
}

static const char *string(const struct mr_extract_result *result, const char *key)
{
    return json_string_value(json_object_get(result->output, key));
}

/* ---- the short cut ---- */

static void test_inline_text(void)
{
    struct bench *b = setup();
    struct mr_extract_result *result =
        extract(b, MR_INPUT_TEXT, "\xef\xbb\xbfone\r\ntwo\rthree\x01\n\n", 20, NULL, NULL);
    CHECK_INT(result->rc, 0);
    CHECK_STR(string(result, "text"), "one\ntwo\nthree");
    CHECK_STR(string(result, "media_type"), "text/plain");
    CHECK_STR(string(result, "charset"), "utf-8");
    CHECK(json_is_null(json_object_get(result->output, "title")));
    CHECK(json_is_null(json_object_get(result->output, "pages")));
    CHECK(json_is_false(json_object_get(result->output, "truncated")));
    CHECK_INT(json_integer_value(json_object_get(result->output, "bytes")), 20);
    CHECK_INT(extract(b, MR_INPUT_TEXT, "<html>as it is", 14, NULL, NULL)->rc, 0);
    CHECK_STR(string(&got.items[1], "text"), "<html>as it is");
    result = extract(b, MR_INPUT_TEXT, " \n\t ", 4, NULL, NULL);
    CHECK(result->rc != 0);
    CHECK_STR(result->err.msg, "the document holds no text");
    CHECK_INT(result->err.class, MR_CLASS_INVALID);
    teardown(b);
}

static void test_plain_bytes(void)
{
    struct bench *b = setup();
    CHECK_INT(extract(b, MR_INPUT_BYTES, "a,b\n1,2\n", 8, "x.CSV", NULL)->rc, 0);
    CHECK_STR(string(&got.items[0], "text"), "a,b\n1,2");
    CHECK_INT(extract(b, MR_INPUT_BYTES, "# Title\n\nx", 10, "README.md", "text/plain")->rc, 0);
    CHECK_STR(string(&got.items[1], "media_type"), "text/markdown");
    CHECK_STR(string(&got.items[1], "title"), "Title");
    /* Called text, but a page: parsed. */
    CHECK_INT(extract(b, MR_INPUT_BYTES, "<!DOCTYPE html><p>a<p>b", 23, "x.txt", NULL)->rc, 0);
    CHECK_STR(string(&got.items[2], "text"), "a\n\nb");
    CHECK_STR(string(&got.items[2], "media_type"), "text/html");
    CHECK_INT(extract(b, MR_INPUT_BYTES, "", 0, "x.txt", NULL)->rc, -1);
    CHECK_STR(got.items[3].err.msg, "the document is empty");
    CHECK_INT(
        extract(b, MR_INPUT_BYTES, "\xdf\xfc-gr", 5, "x.txt", "text/plain; charset=latin1")->rc, 0);
    CHECK_STR(string(&got.items[4], "text"), "\xc3\x9f\xc3\xbc-gr");
    CHECK_INT(extract(b, MR_INPUT_BYTES, "\xcf\xf0\xe8\xe2\xe5\xf2", 6, "x.txt",
                  "text/plain; charset=\"Windows-1251\"")
                  ->rc,
        0);
    CHECK_STR(string(&got.items[5], "text"), "Привет");
    teardown(b);
}

static void test_limits(void)
{
    struct bench *b = setup_with((struct mr_config_worker){.extract_processes = 1,
        .extract_memory_mb = 512,
        .extract_max_bytes = 1000,
        .extract_max_text = 10});
    CHECK_INT(extract(b, MR_INPUT_TEXT,
                  "Gr\xc3\xb6\xc3\x9f"
                  "e und L\xc3\xa4nge",
                  19, NULL, NULL)
                  ->rc,
        0);
    CHECK_STR(string(&got.items[0], "text"), "Gr\xc3\xb6\xc3\x9f"
                                             "e un");
    CHECK(json_is_true(json_object_get(got.items[0].output, "truncated")));
    CHECK_INT(extract(b, MR_INPUT_BYTES, "<p>one two three four", 21, "a.html", NULL)->rc, 0);
    CHECK_STR(string(&got.items[1], "text"), "one two th");
    CHECK(json_is_true(json_object_get(got.items[1].output, "truncated")));
    char big[1001];
    memset(big, 'x', sizeof(big));
    CHECK(extract(b, MR_INPUT_BYTES, big, sizeof(big), "a.html", NULL)->rc != 0);
    CHECK_STR(got.items[2].err.msg, "the document is larger than 1000 bytes");
    teardown(b);
}

/* ---- sample documents ---- */

static void test_samples(void)
{
    static const struct {
        const char *name, *media_type, *charset, *title, *words;
        int pages;
    } table[] = {
        {"memo-relocation.txt", "text/plain", "utf-8", NULL, "priya.raman@northgate", 0},
        {"protokoll-bauausschuss.txt", "text/plain", "windows-1252", NULL, "Köhler", 0},
        {"incident-report.md", "text/markdown", "utf-8",
            "Incident report: payment confirmations delayed", "€1.27 million", 0},
        {"press-release.html", "text/html", "utf-8", "Aldermoor Wind opens its third farm",
            "Turbines\t28\t81\n", 0},
        {"aviso-licitacion.html", "text/html", "windows-1252",
            "Aviso de licitación: alumbrado público", "Begoña Muñoz Peña", 0},
        {"lettre-du-musee.html", "text/html", "utf-8", "La lettre du musée des Forges",
            "- Le billet passe à 9 €", 0},
        {"annual-review.pdf", "application/pdf", "utf-8", "Annual review 2025 of the Harbour Trust",
            "£3,482,000", 2},
        {"mietvertrag.pdf", "application/pdf", "utf-8", "Gewerbemietvertrag (Auszug)",
            "17.280,00 €", 2},
        {"rapport-audit.pdf", "application/pdf", "utf-8", "Rapport d’audit de sécurité",
            "Solène Rivière", 2},
        {"services-agreement.docx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "utf-8",
            "Services agreement (excerpt)", "Planning and move\t£184,000\ton acceptance\n", 1},
        {"acta-reunion.docx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "utf-8",
            "Acta de la reunión del consejo", "doña Lucía Ferrer", 1},
        {"compte-rendu-chantier.odt", "application/vnd.oasis.opendocument.text", "utf-8",
            "Compte rendu de la réunion de chantier n° 8", "Électricité\t87 300 €\t21 000 €\n", 1},
        {"project-brief.odt", "application/vnd.oasis.opendocument.text", "utf-8",
            "Project brief: digital archive", "NOK 2.4 million", 1},
    };
    struct bench *b = setup();
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct mr_extract_result *result =
            extract_file(b, MR_TEST_DATA "/documents", table[i].name);
        CHECK_INT(result->rc, 0);
        CHECK_STR(string(result, "media_type"), table[i].media_type);
        CHECK_STR(string(result, "charset"), table[i].charset);
        if (table[i].title)
            CHECK_STR(string(result, "title"), table[i].title);
        const char *text = string(result, "text");
        if (!strstr(text, table[i].words))
            fprintf(stderr, "# %s: %s\n", table[i].name, text);
        CHECK(strstr(text, table[i].words));
        CHECK(!strstr(text, "window.visits") && !strstr(text, "console.log"));
        CHECK_INT(json_integer_value(json_object_get(result->output, "pages")), table[i].pages);
    }
    teardown(b);
}

/* ---- hostile documents ---- */

static void make_hostile(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl("/usr/bin/python3", "python3", MR_TEST_DATA "/make_hostile.py", "hostile", NULL);
        _exit(99);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void test_hostile(void)
{
    static const struct {
        const char *name, *message; /* NULL: good */
    } table[] = {
        {"empty.txt", "the document is empty"},
        {"blank.txt", "the document holds no text"},
        {"junk.pdf", "called a PDF, but it holds binary data that is none"},
        {"junk.docx", "called a Word document, but it holds binary data that is none"},
        {"junk.bin", "unsupported document: binary data"},
        {"cut.pdf", "the PDF is damaged"},
        {"headed-junk.pdf", "the PDF is damaged"},
        {"circular.pdf", "the PDF is damaged"},
        {"bomb.pdf", "the PDF"},
        {"scanned.pdf", "the PDF has 1 page but no text on it: it seems to be scanned"},
        {"encrypted.pdf", "the PDF is protected by a password"},
        {"zip-bomb.docx", "the file is a zip bomb: word/document.xml expands beyond reason"},
        {"laughs.docx", "the file is damaged"},
        {"external-entity.docx", "the file is damaged: it holds a document type declaration"},
        {"encrypted.docx", "the file is protected by a password"},
        {"encrypted-ole.docx", "the file is protected by a password"},
        {"old.doc", "an Office file of before 2007"},
        {"cut.docx", "the file is damaged: "},
        {"scrambled.docx", "the file is damaged: word/document.xml in it is corrupt"},
        {"not-xml.docx", "not well-formed XML"},
        {"deep.docx", "not well-formed XML"},
        {"encrypted.odt", "the file is protected by a password"},
        {"invalid-utf8.txt", NULL},
        {"nul.txt", "unsupported document: binary data"},
        {"controls.txt", NULL},
        {"utf16.txt", NULL},
        {"deep.html", NULL},
        {"attributes.html", NULL},
        {"unclosed.html", "the document holds no text"},
        {"deep.json", NULL},
        {"deeper.json", NULL},
    };
    make_hostile();
    struct bench *b = setup();
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct mr_extract_result *result = extract_file(b, "hostile", table[i].name);
        const char *message = table[i].message;
        if ((result->rc != 0) != (message != NULL) ||
            (message && !strstr(result->err.msg, message)))
            fprintf(stderr, "# %s: %s\n", table[i].name, result->err.msg);
        CHECK_INT(result->rc, message ? -1 : 0);
        if (message) {
            CHECK(strstr(result->err.msg, message));
            CHECK_INT(result->err.class, MR_CLASS_INVALID);
        }
    }
    teardown(b);
}

static void test_looping_pdf_is_stopped(void)
{
    make_hostile();
    struct bench *b = setup();
    struct mr_buf bytes = MR_BUF_INIT(1 << 20);
    struct mr_err err;
    CHECK_INT(mr_buf_read_file(&bytes, "hostile/looping.pdf", &err), 0);
    start(b, MR_INPUT_BYTES, bytes.data, bytes.len, "looping.pdf", NULL, 700);
    struct mr_extract_result *result = wait_for(b, 1);
    CHECK(result->rc != 0);
    CHECK_INT(result->err.class, MR_CLASS_INVALID);
    CHECK(strstr(result->err.msg, "takes too long to read"));
    mr_buf_deinit(&bytes);
    teardown(b);
}

/* ---- the queue ---- */

static void test_queue_and_abort(void)
{
    make_hostile();
    struct bench *b = setup();
    struct mr_buf loop = MR_BUF_INIT(1 << 20);
    struct mr_err err;
    CHECK_INT(mr_buf_read_file(&loop, "hostile/looping.pdf", &err), 0);
    void *tokens[5];
    for (int i = 0; i < 4; i++)
        tokens[i] = start(b, MR_INPUT_BYTES, loop.data, loop.len, "l.pdf", NULL, 60000);
    tokens[4] = start(b, MR_INPUT_BYTES, "<p>x", 4, "x.html", NULL, 60000);
    in_ops = true;
    b->ops.abort(b->ops.ctx, tokens[3]); /* queued */
    in_ops = false;
    CHECK_INT(wait_for(b, 1)->err.class, MR_CLASS_CANCELLED);
    CHECK(got.tokens[0] == tokens[3]);
    for (int i = 0; i < 3; i++) /* two run, the third begins to */
        b->ops.abort(b->ops.ctx, tokens[i]);
    wait_for(b, 5);
    for (int i = 1; i < 5; i++) { /* in any order: the last one may be read while the others die */
        if (got.tokens[i] != tokens[4]) {
            CHECK_INT(got.items[i].err.class, MR_CLASS_CANCELLED);
            continue;
        }
        CHECK_INT(got.items[i].rc, 0);
        CHECK_STR(string(&got.items[i], "text"), "x");
    }
    start(b, MR_INPUT_BYTES, loop.data, loop.len, "l.pdf", NULL, 60000);
    start(b, MR_INPUT_BYTES, loop.data, loop.len, "l.pdf", NULL, 60000);
    start(b, MR_INPUT_BYTES, loop.data, loop.len, "l.pdf", NULL, 60000);
    mr_buf_deinit(&loop);
    teardown(b); /* kills what runs */
}

/* ---- by URL ---- */

static void test_url(void)
{
    static char *allowed[] = {(char *)"127.0.0.0/8"};
    struct test_server *server = test_server_new();
    struct bench *b = setup_with((struct mr_config_worker){.extract_processes = 2,
        .extract_memory_mb = 512,
        .extract_max_bytes = 4 << 20,
        .extract_max_text = 1 << 20,
        .fetch_http = true,
        .fetch_allow = {allowed, 1}});
    char url[128];
    test_server_add(server, "/x", 200, "Content-Type: text/html; charset=iso-8859-1\r\n",
        "<title>T</title><p>caf\xe9", 23);
    test_server_add(server, "/y.txt", 200, "Content-Type: text/plain\r\n", "plain", 5);
    test_server_add(server, "/429", 429, "Retry-After: 7\r\n", "", 0);
    test_server_add(server, "/meta", 302, "Location: http://169.254.169.254/x\r\n", "", 0);
    static const char *const paths[] = {"/x", "/y.txt", "/429", "/meta"};
    for (int i = 0; i < 4; i++) {
        snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", test_server_port(server), paths[i]);
        start(b, MR_INPUT_URL, url, strlen(url), NULL, NULL, 20000);
        wait_for(b, (size_t)i + 1);
    }
    CHECK_INT(got.items[0].rc, 0);
    CHECK_STR(string(&got.items[0], "text"), "caf\xc3\xa9");
    CHECK_STR(string(&got.items[0], "title"), "T");
    CHECK_STR(string(&got.items[1], "text"), "plain");
    CHECK_INT(got.items[2].err.class, MR_CLASS_RATE_LIMITED);
    CHECK_INT(got.items[2].retry_after_ms, 7000);
    CHECK_INT(got.items[3].err.class, MR_CLASS_INVALID);
    CHECK(strstr(got.items[3].err.msg, "link-local"));
    start(b, MR_INPUT_URL, "file:///etc/passwd", 18, NULL, NULL, 20000);
    CHECK_INT(wait_for(b, 5)->err.class, MR_CLASS_INVALID);
    teardown(b);
    test_server_free(server);
}

static void test_no_program(void)
{
    uv_loop_t loop;
    struct mr_config_worker config = {.extract_processes = 1, .extract_max_bytes = 1000};
    struct mr_extractor *extractor = NULL;
    struct mr_err err;
    CHECK_INT(uv_loop_init(&loop), 0);
    CHECK(mr_extractor_new(&loop, &config, "/nowhere/millrace-extract", &extractor, &err) < 0);
    CHECK(strstr(err.msg, "/nowhere/millrace-extract"));
    CHECK_INT(uv_loop_close(&loop), 0);
}

TEST_MAIN(TEST(test_inline_text), TEST(test_plain_bytes), TEST(test_limits), TEST(test_samples),
    TEST(test_hostile), TEST(test_looping_pdf_is_stopped), TEST(test_queue_and_abort),
    TEST(test_url), TEST(test_no_program))
