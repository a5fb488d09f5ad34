#include "worker/providers/local.h"

#include "common/buf.h"
#include "common/json.h"
#include "worker/providers/local/found.h"
#include "worker/providers/local/label.h"
#include "worker/providers/local/summary.h"
#include "worker/providers/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX (2u << 20)

struct document {
    const char *bytes;
    size_t len;
    struct mr_buf hold; /* the bytes, when they had to be mended */
};

static void document_deinit(struct document *document)
{
    mr_buf_deinit(&document->hold);
}

/* The longest value among the user messages; the others are parameters such as a language. */
static void find_document(const struct mr_chat *chat, struct document *ret)
{
    ret->bytes = "";
    for (size_t i = 0; i < chat->nmessages; i++) {
        const struct mr_chat_message *message = &chat->messages[i];
        if (message->role == MR_ROLE_USER && message->data_len >= ret->len) {
            ret->bytes = message->text + message->data_at;
            ret->len = message->data_len;
        }
    }
    if (ret->len > MR_LOCAL_TEXT_MAX)
        ret->len = mr_utf8_prefix(ret->bytes, ret->len, MR_LOCAL_TEXT_MAX);
}

/* PCRE2 and JSON want valid UTF-8; what is not becomes U+FFFD. */
static int mend(struct document *document)
{
    if (mr_utf8_valid(document->bytes, document->len))
        return 0;
    for (size_t i = 0; i < document->len;) {
        uint32_t c;
        size_t n = mr_utf8_next(document->bytes + i, document->len - i, &c);
        int rc = c == MR_UTF8_BAD ? mr_buf_put(&document->hold, "\xef\xbf\xbd", 3)
                                  : mr_buf_put(&document->hold, document->bytes + i, n);
        if (rc < 0)
            return rc;
        i += n;
    }
    document->bytes = document->hold.data;
    document->len = document->hold.len;
    return 0;
}

static int find_entities(const struct mr_local_text *text, struct mr_buf *buf)
{
    struct mr_found *found = malloc(sizeof(*found));
    int rc = -ENOMEM;
    if (found) {
        found->count = 0;
        found->taken = calloc(text->len + 1, 1);
        if (found->taken)
            rc = mr_patterns_find(text->bytes, text->len, found);
        if (rc == 0) {
            mr_names_find(text, found);
            rc = mr_found_write(found, text->bytes, buf);
        }
        free(found->taken);
    }
    free(found);
    return rc;
}

/* The task in words: the step's, or else the model's name if that is one. */
static const char *task_of(const struct mr_chat *chat)
{
    static const char *const tasks[] = {"summary", "entities", "class", "sentiment"};
    if (chat->task)
        return chat->task;
    const char *model = chat->model && chat->model->model ? chat->model->model : "";
    for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++)
        if (strcmp(model, tasks[i]) == 0)
            return tasks[i];
    return tasks[0];
}

static int run_task(const struct mr_chat *chat, const struct mr_local_text *text,
    struct mr_buf *buf, struct mr_err *err)
{
    const char *task = task_of(chat);
    size_t max_bytes = chat->max_tokens > 0 ? 4 * (size_t)chat->max_tokens : SIZE_MAX;
    if (strcmp(task, "summary") == 0)
        return mr_summary_write(text, max_bytes, buf);
    if (strcmp(task, "entities") == 0)
        return find_entities(text, buf);
    if (strcmp(task, "class") == 0)
        return mr_label_class(text, chat->schema_text, buf, err);
    if (strcmp(task, "sentiment") == 0)
        return mr_label_sentiment(text, chat->schema_text, buf, err);
    return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
        "the local provider knows the tasks summary, entities, class and sentiment, not \"%s\"",
        task);
}

int mr_local_answer(const struct mr_chat *chat, json_t **ret, struct mr_err *err)
{
    struct document document MR_CLEANUP(document_deinit) = {
        .hold = MR_BUF_INIT(3 * MR_LOCAL_TEXT_MAX)};
    struct mr_buf buf MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(ANSWER_MAX);
    struct mr_local_text text MR_CLEANUP(mr_local_text_deinit) = {0};
    find_document(chat, &document);
    int rc = mend(&document);
    if (rc == 0)
        rc = mr_local_text_init(&text, document.bytes, document.len);
    if (rc == 0)
        rc = run_task(chat, &text, &buf, err);
    if (rc == -EINVAL) /* run_task has said why */
        return rc;
    json_t *answer =
        rc == 0 ? json_pack("{s:s%}", "text", buf.data ? buf.data : "", buf.len) : NULL;
    if (!answer)
        return mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory for a local answer");
    *ret = answer;
    return 0;
}
