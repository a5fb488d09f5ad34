/* DOCX and OpenDocument text: which XML of the archive holds the words, and what its elements mean
 * for the layout. Formatting, comments, deleted text and field codes are left out. */
#include "worker/extract/archive.h"

#include <stdlib.h>
#include <string.h>

struct office {
    struct mr_found *found;
    int skip_depth;  /* leave out everything deeper than this; -1: nothing */
    bool in_text;    /* DOCX: inside w:t. ODT: inside a paragraph */
    unsigned para;   /* ODT: depth of paragraphs (a note inside one) */
    unsigned cells;  /* of the current table row */
    unsigned in_row; /* depth */
    char want;       /* metadata: 't' in the title, 'p' in the page count */
    struct mr_buf title;
};

/* A reader's node, boiled down. */
struct node {
    xmlTextReaderPtr reader;
    const char *name; /* with its customary prefix */
    const char *text; /* of a text node, else NULL */
    bool starts, ends;
};

static struct node node_of(xmlTextReaderPtr reader)
{
    struct node node = {.reader = reader, .name = (const char *)xmlTextReaderConstName(reader)};
    int type = xmlTextReaderNodeType(reader);
    node.starts = type == XML_READER_TYPE_ELEMENT;
    node.ends =
        type == XML_READER_TYPE_END_ELEMENT || (node.starts && xmlTextReaderIsEmptyElement(reader));
    if (type == XML_READER_TYPE_TEXT || type == XML_READER_TYPE_CDATA ||
        type == XML_READER_TYPE_SIGNIFICANT_WHITESPACE || type == XML_READER_TYPE_WHITESPACE)
        node.text = (const char *)xmlTextReaderConstValue(reader);
    return node;
}

static bool is(const struct node *node, const char *name)
{
    return strcmp(node->name, name) == 0;
}

static bool is_one_of(const struct node *node, const char *const *names)
{
    for (; *names; names++)
        if (is(node, *names))
            return true;
    return false;
}

/* Whether the node lies within something that is left out, which `names` begin. */
static bool skipped(struct office *office, const struct node *node, const char *const *names)
{
    int depth = xmlTextReaderDepth(node->reader);
    if (office->skip_depth >= 0) {
        if (depth > office->skip_depth)
            return true;
        bool ends = node->ends && depth == office->skip_depth;
        office->skip_depth = -1;
        if (ends)
            return true;
    }
    if (!node->starts || !is_one_of(node, names))
        return false;
    if (!node->ends)
        office->skip_depth = depth;
    return true;
}

static int put(struct office *office, const char *bytes, size_t n, struct mr_err *why)
{
    int rc = mr_text_words(&office->found->text, bytes, n);
    if (rc < 0)
        return mr_err_set(why, MR_EXTRACT_MEMORY, MR_CLASS_INVALID, "no memory for the text");
    return rc; /* MR_TEXT_FULL stops the walk */
}

static void paragraph_ends(struct office *office, unsigned newlines)
{
    mr_text_break(&office->found->text, office->in_row > 0 ? 1 : newlines);
}

static int cell_starts(struct office *office)
{
    if (office->cells++ == 0)
        return 0;
    office->found->text.newlines = 0; /* the last cell's paragraph */
    return mr_text_tab(&office->found->text) == 0 ? 0 : 1;
}

static void row_starts(struct office *office)
{
    office->in_row++;
    office->cells = 0;
    mr_text_break(&office->found->text, 1);
}

static void row_ends(struct office *office)
{
    office->in_row -= office->in_row > 0;
    mr_text_break(&office->found->text, 1);
}

/* ---- DOCX ---- */

static int docx_node(void *ctx, xmlTextReaderPtr reader, struct mr_err *why)
{
    static const char *const left_out[] = {"mc:Fallback", "w:del", "w:moveFrom", NULL};
    struct office *office = ctx;
    struct node node = node_of(reader);
    if (!node.name || skipped(office, &node, left_out))
        return 0;
    if (node.text)
        return office->in_text ? put(office, node.text, strlen(node.text), why) : 0;
    if (is(&node, "w:t")) {
        office->in_text = node.starts && !node.ends;
    } else if (is(&node, "w:tab") && node.starts) {
        return put(office, " ", 1, why);
    } else if ((is(&node, "w:br") || is(&node, "w:cr")) && node.starts) {
        mr_text_break(&office->found->text, 1);
    } else if (is(&node, "w:noBreakHyphen") && node.starts) {
        return put(office, "-", 1, why);
    } else if (is(&node, "w:p")) {
        if (node.ends)
            paragraph_ends(office, 2);
    } else if (is(&node, "w:tr")) {
        if (node.starts)
            row_starts(office);
        if (node.ends)
            row_ends(office);
    } else if (is(&node, "w:tbl")) {
        mr_text_break(&office->found->text, 2);
    } else if (is(&node, "w:tc") && node.starts) {
        return cell_starts(office);
    }
    return 0;
}

static int read_docx(struct mr_archive *archive, struct office *office, struct mr_err *why)
{
    static const char *const parts[] = {
        "word/document.xml", "word/footnotes.xml", "word/endnotes.xml"};
    office->found->media_type =
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (i > 0 && !mr_archive_has(archive, parts[i]))
            continue;
        office->skip_depth = -1;
        office->in_text = false;
        mr_text_break(&office->found->text, 2);
        int rc = mr_archive_xml(archive, parts[i], docx_node, office, why);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- ODT ---- */

/* <text:s text:c="3"/>: spaces, which collapse anyway. */
static int odt_inline(struct office *office, const struct node *node, struct mr_err *why)
{
    if (!node->starts)
        return 0;
    if (is(node, "text:s") || is(node, "text:tab"))
        return put(office, " ", 1, why);
    if (is(node, "text:line-break"))
        mr_text_break(&office->found->text, 1);
    return 0;
}

static int odt_node(void *ctx, xmlTextReaderPtr reader, struct mr_err *why)
{
    static const char *const left_out[] = {"text:tracked-changes", "office:annotation",
        "text:table-of-content", "office:forms", "text:note-citation", "svg:desc", "svg:title",
        NULL};
    struct office *office = ctx;
    struct node node = node_of(reader);
    if (!node.name || skipped(office, &node, left_out))
        return 0;
    if (node.text)
        return office->para > 0 ? put(office, node.text, strlen(node.text), why) : 0;
    if (is(&node, "text:p") || is(&node, "text:h")) {
        office->para += node.starts;
        if (node.ends) {
            office->para -= office->para > 0;
            paragraph_ends(office, 2);
        }
    } else if (is(&node, "text:list-item") && node.starts) {
        mr_text_break(&office->found->text, 1);
    } else if (is(&node, "table:table-row")) {
        if (node.starts)
            row_starts(office);
        if (node.ends)
            row_ends(office);
    } else if (is(&node, "table:table")) {
        mr_text_break(&office->found->text, 2);
    } else if (is(&node, "table:table-cell") && node.starts) {
        return cell_starts(office);
    } else {
        return odt_inline(office, &node, why);
    }
    return 0;
}

static int odt_encryption(void *ctx, xmlTextReaderPtr reader, struct mr_err *why)
{
    (void)ctx;
    const char *name = (const char *)xmlTextReaderConstName(reader);
    if (name && strcmp(name, "manifest:encryption-data") == 0)
        return mr_err_set(
            why, MR_EXTRACT_PASSWORD, MR_CLASS_INVALID, "the file is protected by a password");
    return 0;
}

static int read_odt(struct mr_archive *archive, struct office *office, struct mr_err *why)
{
    office->found->media_type = "application/vnd.oasis.opendocument.text";
    if (mr_archive_has(archive, "META-INF/manifest.xml")) {
        int rc = mr_archive_xml(archive, "META-INF/manifest.xml", odt_encryption, NULL, why);
        if (rc == MR_EXTRACT_PASSWORD)
            return rc;
    }
    return mr_archive_xml(archive, "content.xml", odt_node, office, why);
}

/* ---- metadata ---- */

static int meta_node(void *ctx, xmlTextReaderPtr reader, struct mr_err *why)
{
    (void)why;
    struct office *office = ctx;
    struct node node = node_of(reader);
    if (!node.name)
        return 0;
    if (is(&node, "dc:title")) {
        office->want = node.starts && !node.ends ? 't' : 0;
    } else if (is(&node, "Pages")) {
        office->want = node.starts && !node.ends ? 'p' : 0;
    } else if (is(&node, "meta:document-statistic") && node.starts) {
        xmlChar *pages = xmlTextReaderGetAttribute(reader, BAD_CAST "meta:page-count");
        if (pages)
            office->found->pages = (int)strtol((const char *)pages, NULL, 10);
        xmlFree(pages);
    } else if (node.text && office->want == 'p') {
        office->found->pages = (int)strtol(node.text, NULL, 10);
    } else if (node.text && office->want == 't') {
        size_t n = strlen(node.text), room = office->title.max - office->title.len;
        if (mr_buf_put(&office->title, node.text, n < room ? n : room) != 0)
            return 1;
    }
    return 0;
}

/* Title and pages are welcome but not worth failing for. */
static void read_meta(struct mr_archive *archive, struct office *office)
{
    static const char *const parts[] = {"docProps/core.xml", "docProps/app.xml", "meta.xml"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct mr_err ignored;
        office->want = 0;
        if (mr_archive_has(archive, parts[i]) &&
            mr_archive_xml(archive, parts[i], meta_node, office, &ignored) != 0)
            break;
    }
    if (office->found->pages < 1 || office->found->pages > 100000)
        office->found->pages = -1;
    mr_found_title(office->found, office->title.data, office->title.len);
}

static int refuse(struct mr_archive *archive, const struct mr_source *source, struct mr_err *why)
{
    static const struct {
        const char *entry, *what;
    } known[] = {
        {"xl/workbook.xml", "an Excel workbook"},
        {"ppt/presentation.xml", "a PowerPoint presentation"},
        {"META-INF/container.xml", "an EPUB book"},
        {"META-INF/MANIFEST.MF", "a Java archive"},
        {"content.xml", "an OpenDocument file that is no text document"},
    };
    const char *what = "a ZIP archive that is neither DOCX nor ODT";
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (mr_archive_has(archive, known[i].entry)) {
            what = known[i].what;
            break;
        }
    if (strcmp(source->ext, "docx") == 0)
        what = "a ZIP archive named .docx that holds no Word document";
    return mr_err_set(
        why, MR_EXTRACT_UNSUPPORTED, MR_CLASS_INVALID, "unsupported document: %s", what);
}

int mr_office_read(const struct mr_source *source, struct mr_found *found, struct mr_err *why)
{
    struct mr_archive *archive = NULL;
    int rc = mr_archive_open(source->bytes, source->n, &archive, why);
    if (rc != 0)
        return rc;
    struct office office = {.found = found, .skip_depth = -1, .title = MR_BUF_INIT(1024)};
    char mimetype[64] = "";
    bool odf = mr_archive_peek(archive, "mimetype", mimetype, sizeof(mimetype));
    found->charset = "utf-8";
    if (odf && strncmp(mimetype, "application/vnd.oasis.opendocument.text", 39) == 0)
        rc = read_odt(archive, &office, why);
    else if (mr_archive_has(archive, "word/document.xml"))
        rc = read_docx(archive, &office, why);
    else
        rc = refuse(archive, source, why);
    if (rc == 0)
        read_meta(archive, &office);
    mr_buf_deinit(&office.title);
    mr_archive_free(archive);
    return rc;
}
