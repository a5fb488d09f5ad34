#include "tests/faultproxy/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const whens[] = {"before", "sent", "lost", "after"};
static const char *const actions[] = {"kill", "term", "stop", "reset", "cut", "stall"};

const char *mr_action_name(enum mr_action action)
{
    return actions[action];
}

static int find(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -EINVAL;
}

int mr_rules_add(struct mr_rules *rules, const char *text)
{
    char copy[256], *words[7], *rest = copy;
    if (strlen(text) >= sizeof(copy))
        return -EINVAL;
    memcpy(copy, text, strlen(text) + 1);
    for (int i = 0; i < 7; i++)
        if (!(words[i] = strtok_r(NULL, " \n", &rest)))
            return -EINVAL;
    int when = find(whens, 4, words[4]), action = find(actions, 6, words[5]);
    struct mr_rule rule = {
        .id = (int)strtol(words[0], NULL, 10),
        .slot = words[1][0] == '*' ? -1 : (int)strtol(words[1], NULL, 10),
        .point = mr_point_parse(words[2]),
        .k = strtol(words[3], NULL, 10),
        .arg = strtol(words[6], NULL, 10),
    };
    if (when < 0 || action < 0 || rule.k < 1 || rule.point == MR_POINT_COUNT)
        return -EINVAL;
    if (rules->count == MR_RULES_MAX)
        return -ENOSPC;
    rule.when = (enum mr_when)when;
    rule.action = (enum mr_action)action;
    rules->rules[rules->count++] = rule;
    return 0;
}

struct mr_rule *mr_rules_meet(struct mr_rules *rules, int slot, bool worker, enum mr_point point)
{
    struct mr_rule *met = NULL;
    for (int i = 0; i < rules->count; i++) {
        struct mr_rule *rule = &rules->rules[i];
        if (rule->spent || rule->point != point || (rule->slot < 0 ? !worker : rule->slot != slot))
            continue;
        /* Every rule counts, but one message meets one fault: a second rule waits for the next. */
        if (++rule->seen >= rule->k && !met) {
            rule->spent = true;
            met = rule;
        }
    }
    return met;
}
