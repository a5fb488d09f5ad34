/* The effective configuration as libconfig text. It can be loaded again. */
#include "common/config_lists.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TAB "    "

/* A row that names where a secret lies shows the name; the secret itself is never here to print. */
static void print_row(const struct mr_row *row, const void *base, const char *indent, FILE *out)
{
    if (!mr_row_is_set(row, base))
        return;
    fputs(indent, out);
    mr_row_print(row, base, out);
    fputs(row->secret ? " # holds: ***\n" : "\n", out);
}

static void print_sections(const struct mr_config *config, FILE *out)
{
    struct mr_rows rows = mr_config_scalars();
    const char *section = "";

    for (size_t i = 0; i < rows.count; i++) {
        const struct mr_row *row = &rows.items[i];
        if (strcmp(section, row->section) != 0) {
            fprintf(out, "%s%s: {\n", *section ? "};\n" : "", row->section);
            section = row->section;
        }
        print_row(row, config, TAB, out);
    }
    fputs("};\n", out);
}

static void print_rows(struct mr_rows rows, const void *base, const char *indent, FILE *out)
{
    for (size_t i = 0; i < rows.count; i++)
        print_row(&rows.items[i], base, indent, out);
}

static void print_json(const json_t *value, FILE *out);

static void print_json_items(const json_t *array, FILE *out)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (i > 0)
            fputs(", ", out);
        print_json(json_array_get(array, i), out);
    }
}

static void print_real(double v, FILE *out)
{
    char text[32];

    /* The shortest text that reads back as the same number, and as a float. */
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    fprintf(out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static void print_json(const json_t *value, FILE *out)
{
    const char *key;
    json_t *member;

    switch (json_typeof(value)) {
    case JSON_OBJECT:
        fputs("{ ", out);
        json_object_foreach((json_t *)value, key, member)
        {
            fprintf(out, "%s = ", key);
            print_json(member, out);
            fputs("; ", out);
        }
        putc('}', out);
        break;
    case JSON_ARRAY:
        putc('(', out);
        print_json_items(value, out);
        putc(')', out);
        break;
    case JSON_STRING:
        mr_config_quote(json_string_value(value), out);
        break;
    case JSON_INTEGER:
        fprintf(out, "%lldL", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        print_real(json_real_value(value), out);
        break;
    default:
        fputs(json_is_true(value) ? "true" : "false", out);
        break;
    }
}

static void print_endpoints(const struct mr_provider *provider, FILE *out)
{
    fputs(TAB TAB "endpoints = (\n", out);
    for (size_t i = 0; i < provider->nendpoints; i++) {
        fputs(TAB TAB TAB "{\n", out);
        print_rows(mr_config_endpoint_rows(), &provider->endpoints[i], TAB TAB TAB TAB, out);
        fprintf(out, TAB TAB TAB "}%s\n", i + 1 < provider->nendpoints ? "," : "");
    }
    fputs(TAB TAB ");\n", out);
}

static void print_provider(const struct mr_provider *provider, FILE *out)
{
    print_rows(mr_config_provider_rows(), provider, TAB TAB, out);
    if (provider->custom) {
        fputs(TAB TAB "custom = {\n", out);
        print_rows(mr_config_custom_rows(), provider->custom, TAB TAB TAB, out);
        fputs(TAB TAB "};\n", out);
    }
    /* The local provider is everywhere. */
    if (provider->kind != MR_PROVIDER_LOCAL)
        print_endpoints(provider, out);
}

static void print_rules(const struct mr_model *model, FILE *out)
{
    fputs(TAB TAB "choose = (", out);
    for (size_t i = 0; i < model->nrules; i++) {
        fputs(i ? ",\n" TAB TAB TAB "{ when = " : "\n" TAB TAB TAB "{ when = ", out);
        mr_config_quote(model->rules[i].when, out);
        fputs("; use = ", out);
        mr_config_quote(model->rules[i].use->alias, out);
        fputs("; }", out);
    }
    fputs("\n" TAB TAB ");\n", out);
}

static void print_model(const struct mr_model *model, FILE *out)
{
    print_rows(mr_config_model_rows(), model, TAB TAB, out);
    fputs(TAB TAB "provider = ", out);
    mr_config_quote(model->provider->name, out);
    fputs(";\n" TAB TAB "params = ", out);
    print_json(model->params, out);
    fputs(";\n", out);
    if (model->nrules > 0)
        print_rules(model, out);
    if (model->nfallback > 0) {
        fputs(TAB TAB "fallback = [", out);
        for (size_t i = 0; i < model->nfallback; i++) {
            fputs(i ? ", " : "", out);
            mr_config_quote(model->fallback[i]->alias, out);
        }
        fputs("];\n", out);
    }
}

/* Numbers that are there, but mean nothing to an extract step. */
static bool is_for_chat(const char *key)
{
    return strcmp(key, "max_tokens") == 0 || strcmp(key, "cache") == 0;
}

static void print_step(const struct mr_pipeline *pipeline, size_t s, FILE *out)
{
    const struct mr_step_def *step = &pipeline->steps[s];
    struct mr_rows rows = mr_config_step_rows();

    for (size_t i = 0; i < rows.count; i++)
        if (step->kind == MR_STEP_CHAT || !is_for_chat(rows.items[i].key))
            print_row(&rows.items[i], step, TAB TAB TAB TAB, out);
    if (step->model) {
        fputs(TAB TAB TAB TAB "model = ", out);
        mr_config_quote(step->model->alias, out);
        fputs(";\n", out);
    }
    fputs(TAB TAB TAB TAB "after = [", out);
    const char *comma = "";
    for (size_t i = 0; i < pipeline->nsteps; i++) {
        if (!(step->after & UINT32_C(1) << i))
            continue;
        fputs(comma, out);
        mr_config_quote(pipeline->steps[i].name, out);
        comma = ", ";
    }
    fputs("];\n", out);
}

static void print_pipeline(const struct mr_pipeline *pipeline, FILE *out)
{
    print_rows(mr_config_pipeline_rows(), pipeline, TAB TAB, out);
    fputs(TAB TAB "steps = (\n", out);
    for (size_t s = 0; s < pipeline->nsteps; s++) {
        fputs(TAB TAB TAB "{\n", out);
        print_step(pipeline, s, out);
        fprintf(out, TAB TAB TAB "}%s\n", s + 1 < pipeline->nsteps ? "," : "");
    }
    fputs(TAB TAB ");\n", out);
}

static void print_retries(const struct mr_config *config, FILE *out)
{
    const char *comma = "";

    fputs("\nretry: (", out);
    for (unsigned c = 0; c < MR_CLASS_COUNT; c++) {
        struct mr_config_retry retry = {(char *)mr_class_name(c), config->retry[c]};
        if (retry.rule.tries == 0)
            continue;
        fprintf(out, "%s\n" TAB "{\n", comma);
        print_rows(mr_config_retry_rows(), &retry, TAB TAB, out);
        fputs(TAB "}", out);
        comma = ",";
    }
    putc('\n', out);
}

int mr_config_print(const struct mr_config *config, FILE *out)
{
    print_sections(config, out);
    print_retries(config, out);
    fputs(");\n\nproviders: (\n", out);
    for (size_t i = 0; i < config->nproviders; i++) {
        fputs(TAB "{\n", out);
        print_provider(&config->providers[i], out);
        fprintf(out, TAB "}%s\n", i + 1 < config->nproviders ? "," : "");
    }
    fputs(");\n\nmodels: (\n", out);
    for (size_t i = 0; i < config->nmodels; i++) {
        fputs(TAB "{\n", out);
        print_model(&config->models[i], out);
        fprintf(out, TAB "}%s\n", i + 1 < config->nmodels ? "," : "");
    }
    fputs(");\n\npipelines: (\n", out);
    for (size_t i = 0; i < config->npipelines; i++) {
        fputs(TAB "{\n", out);
        print_pipeline(&config->pipelines[i], out);
        fprintf(out, TAB "}%s\n", i + 1 < config->npipelines ? "," : "");
    }
    fputs(");\n", out);
    return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}
