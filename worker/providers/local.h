/* The provider that needs no network and no key: summaries by sentence graph, entities by patterns
 * and rules, class and sentiment by rules. Pure and thread-safe; never fails because of what the
 * document says. */
#pragma once

#include "common/err.h"
#include "worker/providers/chat.h"

#include <jansson.h>

#define MR_LOCAL_TEXT_MAX (256u << 10) /* bytes of a document that are looked at */

/* Answers chat->task (NULL: the model's name if it is a task, else "summary") on the document,
 * which is the longest value among the chat's user messages. *ret is {"text": "..."}, the caller's
 * reference; for tasks with a schema the text is JSON: for entities what
 * schemas/entities.schema.json says, for class and sentiment an object built after the step's
 * schema. 0; -EINVAL: unknown task, or labels to choose from are missing; -ENOMEM. */
int mr_local_answer(const struct mr_chat *chat, json_t **ret, struct mr_err *err) MR_CHECK;
