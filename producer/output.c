#include "producer/output.h"
#include "common/json.h"
#include "producer/figures.h"
#include "producer/text.h"

#include <stdlib.h>
#include <string.h>

#define CELL_MAX (64u << 20)
#define GAP 2        /* columns between columns */
#define NARROWEST 12 /* a column is not cut to less */

void mr_output_safe(FILE *out, const char *text, bool keep_lines)
{
    MR_CLEANUP(mr_buf_deinit) struct mr_buf buf = MR_BUF_INIT(CELL_MAX);
    if (mr_text_safe(&buf, text, strlen(text), keep_lines ? MR_SAFE_TEXT : MR_SAFE_LINE) < 0)
        return;
    fwrite(buf.data, 1, buf.len, out);
}

void mr_usd_tidy(const char *decimal, char ret[static MR_USD_LEN])
{
    if (!decimal)
        decimal = "";
    const char *minus = *decimal == '-' ? "-" : "";
    decimal += *minus != '\0';
    size_t whole = strcspn(decimal, "."), n = strlen(decimal);
    size_t have = n > whole ? n - whole - 1 : 0, places = mr_figure_places(MR_CELL_USD, decimal);
    ret[0] = '\0';
    if (n == 0 || whole > 40 || places > 12)
        return;
    snprintf(ret, MR_USD_LEN, "%s$%.*s.%.*s%.*s", minus, (int)whole, decimal,
        (int)(have < places ? have : places), decimal + whole + (n > whole),
        have < places ? (int)(places - have) : 0, "000000000000");
}

/* ---- JSON ---- */

static void put_json(FILE *out, const json_t *value)
{
    MR_CLEANUP(mr_buf_deinit) struct mr_buf raw = MR_BUF_INIT(CELL_MAX);
    MR_CLEANUP(mr_buf_deinit) struct mr_buf safe = MR_BUF_INIT(2 * CELL_MAX);
    if (mr_json_dump(value, &raw) < 0 || mr_text_safe(&safe, raw.data, raw.len, MR_SAFE_JSON) < 0)
        fputs("null", out);
    else
        fwrite(safe.data, 1, safe.len, out);
}

void mr_output_json(struct mr_cli *cli, json_t *value)
{
    put_json(cli->out, value);
    fputc('\n', cli->out);
    json_decref(value);
}

void mr_list_begin(struct mr_list *list, struct mr_cli *cli)
{
    *list = (struct mr_list){.cli = cli};
    fputc('[', cli->out);
}

void mr_list_add(struct mr_list *list, json_t *element)
{
    fputs(list->count++ ? ",\n" : "\n", list->cli->out);
    put_json(list->cli->out, element);
    json_decref(element);
}

void mr_list_end(struct mr_list *list)
{
    fputs(list->count ? "\n]\n" : "]\n", list->cli->out);
}

static json_t *json_cell(enum mr_cell type, const char *text)
{
    char usd[MR_USD_LEN];
    if (!text)
        return json_null();
    switch (type) {
    case MR_CELL_INT:
    case MR_CELL_MS:
        return json_integer(strtoll(text, NULL, 10));
    case MR_CELL_BOOL:
        return json_boolean(text[0] == 't');
    case MR_CELL_JSON: {
        json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
        return value ? value : json_string(text);
    }
    case MR_CELL_USD:
        mr_usd_tidy(text, usd);
        return json_sprintf("%s%s", usd[0] == '-' ? "-" : "", usd + strspn(usd, "-$"));
    case MR_CELL_TEXT:
    case MR_CELL_DECIMAL:
    case MR_CELL_TIME:
        break;
    }
    return json_string(text);
}

json_t *mr_output_object(const struct mr_rows *rows, size_t row)
{
    json_t *object = json_object();
    for (size_t i = 0; object && i < rows->ncolumns; i++) {
        const struct mr_column *column = &rows->columns[i];
        const char *text = rows->cell(rows->source, row, i);
        if (json_object_set_new(object, column->name, json_cell(column->type, text)) < 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

/* ---- tables ---- */

static bool is_figure(enum mr_cell type)
{
    return type == MR_CELL_INT || type == MR_CELL_MS || type == MR_CELL_USD ||
           type == MR_CELL_DECIMAL;
}

/* The text of a cell as people read it, safe and on one line; a number with so many decimals. */
static int table_cell(
    const struct mr_rows *rows, size_t row, size_t column, size_t places, struct mr_buf *ret)
{
    const char *text = rows->cell(rows->source, row, column);
    enum mr_cell type = rows->columns[column].type;
    mr_buf_reset(ret);
    if (!text)
        return 0;
    if (is_figure(type))
        return mr_figure_put(ret, type, text, places);
    switch (type) {
    case MR_CELL_BOOL:
        return mr_buf_puts(ret, text[0] == 't' ? "yes" : "no");
    case MR_CELL_TIME: /* 2026-11-20T18:00:00.123Z -> 2026-11-20 18:00:00Z */
        if (strlen(text) >= 19)
            return mr_buf_printf(ret, "%.10s %.8sZ", text, text + 11);
        break;
    default:
        break;
    }
    return mr_text_safe(ret, text, strlen(text), MR_SAFE_LINE);
}

static bool is_shown(const struct mr_column *column)
{
    return column->title != NULL;
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What a column takes. Its numbers have equally many decimals, so that their points stand in line.
 */
struct shape {
    size_t width, places;
};

static size_t places_of(const struct mr_rows *rows, size_t row, size_t column)
{
    const char *text = rows->cell(rows->source, row, column);
    enum mr_cell type = rows->columns[column].type;
    return text && is_figure(type) ? mr_figure_places(type, text) : 0;
}

static void measure(const struct mr_rows *rows, struct shape *shapes, struct mr_buf *cell)
{
    for (size_t c = 0; c < rows->ncolumns; c++) {
        if (!is_shown(&rows->columns[c]))
            continue;
        struct shape *shape = &shapes[c];
        shape->width = strlen(rows->columns[c].title);
        for (size_t r = 0; r < rows->nrows; r++)
            shape->places = max_size(shape->places, places_of(rows, r, c));
        for (size_t r = 0; r < rows->nrows; r++)
            if (table_cell(rows, r, c, shape->places, cell) == 0 && cell->len)
                shape->width = max_size(shape->width, mr_text_width(cell->data, cell->len));
    }
}

/* Cuts the widest text columns until the table fits the terminal. */
static void squeeze(const struct mr_rows *rows, struct shape *shapes, size_t terminal)
{
    for (;;) {
        size_t total = 0, widest = rows->ncolumns, shown = 0;
        for (size_t c = 0; c < rows->ncolumns; c++) {
            total += is_shown(&rows->columns[c]) ? shapes[c].width + (shown++ ? GAP : 0) : 0;
            if (is_shown(&rows->columns[c]) && rows->columns[c].type == MR_CELL_TEXT &&
                strcmp(rows->columns[c].name, "job") != 0 && shapes[c].width > NARROWEST &&
                (widest == rows->ncolumns || shapes[c].width > shapes[widest].width))
                widest = c;
        }
        if (total <= terminal || widest == rows->ncolumns)
            return;
        size_t over = total - terminal, spare = shapes[widest].width - NARROWEST;
        shapes[widest].width -= over < spare ? over : spare;
    }
}

static void pad(FILE *out, size_t n)
{
    fprintf(out, "%*s", (int)n, "");
}

/* Blanks that come before the cell; returns those that come behind it, if something does. */
static size_t put_cell(
    FILE *out, const char *text, size_t n, size_t blanks, size_t width, bool right)
{
    size_t have = mr_text_width(text, n);
    if (n == 0)
        return blanks + width;
    pad(out, blanks + (right && width > have ? width - have : 0));
    if (have > width) {
        fwrite(text, 1, mr_text_fit(text, n, width - 1), out);
        fputs("…", out);
        have = mr_text_width(text, mr_text_fit(text, n, width - 1)) + 1;
        n = 0;
    }
    fwrite(text, 1, n, out);
    return !right && width > have ? width - have : 0;
}

static void put_row(FILE *out, const struct mr_rows *rows, size_t row, const struct shape *shapes,
    bool heading, struct mr_buf *cell)
{
    size_t blanks = 0;
    bool first = true;
    for (size_t c = 0; c < rows->ncolumns; c++) {
        const struct mr_column *column = &rows->columns[c];
        if (!is_shown(column))
            continue;
        blanks += first ? 0 : GAP;
        first = false;
        if (!heading && table_cell(rows, row, c, shapes[c].places, cell) < 0)
            mr_buf_reset(cell);
        const char *text = heading ? column->title : cell->len ? cell->data : "";
        blanks =
            put_cell(out, text, strlen(text), blanks, shapes[c].width, is_figure(column->type));
    }
    fputc('\n', out);
}

static void put_table(struct mr_cli *cli, const struct mr_rows *rows)
{
    MR_CLEANUP(mr_buf_deinit) struct mr_buf cell = MR_BUF_INIT(CELL_MAX);
    struct shape *shapes = calloc(rows->ncolumns, sizeof(*shapes));
    if (!shapes)
        return;
    measure(rows, shapes, &cell);
    if (cli->width > 0)
        squeeze(rows, shapes, (size_t)cli->width);
    put_row(cli->out, rows, 0, shapes, true, &cell);
    for (size_t r = 0; r < rows->nrows; r++)
        put_row(cli->out, rows, r, shapes, false, &cell);
    free(shapes);
}

void mr_output_rows(struct mr_cli *cli, const struct mr_rows *rows, const char *none)
{
    if (cli->format == MR_FORMAT_JSON) {
        struct mr_list list;
        mr_list_begin(&list, cli);
        for (size_t r = 0; r < rows->nrows; r++)
            mr_list_add(&list, mr_output_object(rows, r));
        mr_list_end(&list);
    } else if (rows->nrows == 0) {
        fprintf(cli->out, "%s\n", none);
    } else {
        put_table(cli, rows);
    }
}

void mr_output_record(struct mr_cli *cli, const struct mr_rows *rows, size_t row)
{
    MR_CLEANUP(mr_buf_deinit) struct mr_buf cell = MR_BUF_INIT(CELL_MAX);
    size_t width = 0;
    for (size_t c = 0; c < rows->ncolumns; c++)
        if (is_shown(&rows->columns[c]) && rows->cell(rows->source, row, c))
            width = max_size(width, strlen(rows->columns[c].title));
    for (size_t c = 0; c < rows->ncolumns; c++) {
        if (!is_shown(&rows->columns[c]) || !rows->cell(rows->source, row, c) ||
            table_cell(rows, row, c, places_of(rows, row, c), &cell) < 0)
            continue;
        fprintf(cli->out, "%-*s", (int)(width + GAP), rows->columns[c].title);
        fwrite(cell.len ? cell.data : "", 1, cell.len, cli->out);
        fputc('\n', cli->out);
    }
}
