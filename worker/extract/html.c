/* HTML, read as a stream: no tree, so memory stays flat however deep or long the page is. Scripts,
 * navigation, forms and what a reader would not see are left out; what is not seen is also where
 * hidden instructions to models are put. */
#include "worker/extract/extract.h"

#include <libxml/HTMLparser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct html {
    struct mr_found *found;
    htmlParserCtxtPtr parser;
    unsigned skipping; /* depth inside what is left out */
    unsigned pre;      /* depth of <pre> */
    bool in_title, has_title;
    unsigned cells;   /* of the current table row */
    unsigned in_cell; /* depth */
    bool cell_fresh;  /* nothing in it so far */
    struct mr_buf title;
    int rc;
};

enum role {
    ROLE_NONE,
    ROLE_SKIP,
    ROLE_LINE,  /* begins and ends a line */
    ROLE_BLOCK, /* is set apart by an empty line */
    ROLE_ITEM,
    ROLE_ROW,
    ROLE_CELL,
    ROLE_PRE,
    ROLE_BREAK,
    ROLE_TITLE,
};

struct element {
    const char *name;
    enum role role;
};

/* Sorted. */
static const struct element elements[] = {
    {"address", ROLE_BLOCK},
    {"article", ROLE_BLOCK},
    {"aside", ROLE_BLOCK},
    {"blockquote", ROLE_BLOCK},
    {"br", ROLE_BREAK},
    {"button", ROLE_SKIP},
    {"canvas", ROLE_SKIP},
    {"caption", ROLE_LINE},
    {"dd", ROLE_LINE},
    {"details", ROLE_BLOCK},
    {"dialog", ROLE_SKIP},
    {"div", ROLE_LINE},
    {"dl", ROLE_BLOCK},
    {"dt", ROLE_LINE},
    {"fieldset", ROLE_BLOCK},
    {"figcaption", ROLE_LINE},
    {"figure", ROLE_BLOCK},
    {"footer", ROLE_BLOCK},
    {"form", ROLE_LINE},
    {"h1", ROLE_BLOCK},
    {"h2", ROLE_BLOCK},
    {"h3", ROLE_BLOCK},
    {"h4", ROLE_BLOCK},
    {"h5", ROLE_BLOCK},
    {"h6", ROLE_BLOCK},
    {"header", ROLE_BLOCK},
    {"hr", ROLE_BREAK},
    {"iframe", ROLE_SKIP},
    {"input", ROLE_NONE},
    {"legend", ROLE_LINE},
    {"li", ROLE_ITEM},
    {"main", ROLE_BLOCK},
    {"map", ROLE_SKIP},
    {"menu", ROLE_SKIP},
    {"nav", ROLE_SKIP},
    {"noscript", ROLE_SKIP},
    {"object", ROLE_SKIP},
    {"ol", ROLE_BLOCK},
    {"p", ROLE_BLOCK},
    {"pre", ROLE_PRE},
    {"script", ROLE_SKIP},
    {"section", ROLE_BLOCK},
    {"select", ROLE_SKIP},
    {"style", ROLE_SKIP},
    {"summary", ROLE_LINE},
    {"svg", ROLE_SKIP},
    {"table", ROLE_BLOCK},
    {"td", ROLE_CELL},
    {"template", ROLE_SKIP},
    {"textarea", ROLE_SKIP},
    {"th", ROLE_CELL},
    {"title", ROLE_TITLE},
    {"tr", ROLE_ROW},
    {"ul", ROLE_BLOCK},
};

static int compare_element(const void *name, const void *element)
{
    return strcasecmp(name, ((const struct element *)element)->name);
}

static enum role role_of(const xmlChar *name)
{
    const struct element *found = bsearch(name, elements, sizeof(elements) / sizeof(elements[0]),
        sizeof(elements[0]), compare_element);
    return found ? found->role : ROLE_NONE;
}

/* Whether the element's own attributes keep it from being seen. */
static bool is_hidden(const xmlChar *element, const xmlChar **attributes)
{
    if (strcasecmp((const char *)element, "body") == 0 ||
        strcasecmp((const char *)element, "html") == 0)
        return false; /* pages hide these until a script has run */
    for (size_t i = 0; attributes && attributes[i]; i += 2) {
        const char *name = (const char *)attributes[i];
        const char *value = (const char *)attributes[i + 1];
        if (strcasecmp(name, "hidden") == 0)
            return true;
        if (!value)
            continue;
        if (strcasecmp(name, "aria-hidden") == 0 && strcasecmp(value, "true") == 0)
            return true;
        if (strcasecmp(name, "style") == 0 &&
            (strcasestr(value, "display:none") || strcasestr(value, "display: none") ||
                strcasestr(value, "visibility:hidden") || strcasestr(value, "visibility: hidden")))
            return true;
    }
    return false;
}

static void note(struct html *html, int rc)
{
    if (rc != 0 && html->rc == 0) {
        html->rc = rc;
        xmlStopParser(html->parser);
    }
}

/* A line or block begins or ends. Inside a table cell it does not tear the row apart: the first
 * block of a cell goes on in the row's line, and there are no empty lines. */
static void set_apart(struct html *html, unsigned newlines, bool begins)
{
    if (html->in_cell > 0 && newlines > 1)
        newlines = 1;
    if (html->in_cell == 0 || !begins || !html->cell_fresh)
        mr_text_break(&html->found->text, newlines);
}

static void start_cell(struct html *html)
{
    html->in_cell++;
    html->cell_fresh = true;
    if (html->cells++ == 0)
        return;
    html->found->text.newlines = 0;
    note(html, mr_text_tab(&html->found->text));
}

static void on_start(void *ctx, const xmlChar *name, const xmlChar **attributes)
{
    struct html *html = ctx;
    enum role role = role_of(name);
    if (html->skipping > 0 || role == ROLE_SKIP || is_hidden(name, attributes)) {
        html->skipping++;
        return;
    }
    switch (role) {
    case ROLE_PRE:
        html->pre++;
        set_apart(html, 2, true);
        break;
    case ROLE_BLOCK:
        set_apart(html, 2, true);
        break;
    case ROLE_ITEM:
        set_apart(html, 1, true);
        note(html, mr_text_words(&html->found->text, "- ", 2));
        break;
    case ROLE_ROW:
        html->cells = 0;
        mr_text_break(&html->found->text, 1);
        break;
    case ROLE_CELL:
        start_cell(html);
        break;
    case ROLE_LINE:
    case ROLE_BREAK:
        set_apart(html, 1, true);
        break;
    case ROLE_TITLE:
        html->in_title = !html->has_title;
        break;
    default:
        break;
    }
}

static void on_end(void *ctx, const xmlChar *name)
{
    struct html *html = ctx;
    if (html->skipping > 0) {
        html->skipping--;
        return;
    }
    switch (role_of(name)) {
    case ROLE_PRE:
        html->pre -= html->pre > 0;
        set_apart(html, 2, false);
        break;
    case ROLE_BLOCK:
        set_apart(html, 2, false);
        break;
    case ROLE_ITEM:
    case ROLE_LINE:
        set_apart(html, 1, false);
        break;
    case ROLE_ROW:
        mr_text_break(&html->found->text, 1);
        break;
    case ROLE_CELL:
        html->in_cell -= html->in_cell > 0;
        break;
    case ROLE_TITLE:
        html->has_title |= html->in_title;
        html->in_title = false;
        break;
    default:
        break;
    }
}

static void on_text(void *ctx, const xmlChar *bytes, int n)
{
    struct html *html = ctx;
    if (n <= 0 || html->skipping > 0)
        return;
    if (html->in_title) {
        size_t room = html->title.max - html->title.len;
        if (mr_buf_put(&html->title, bytes, (size_t)n < room ? (size_t)n : room) != 0)
            html->title.len = 0;
    } else if (html->pre > 0) {
        html->cell_fresh = false;
        note(html, mr_text_plain(&html->found->text, (const char *)bytes, (size_t)n));
    } else {
        html->cell_fresh &= strspn((const char *)bytes, " \t\r\n") >= (size_t)n;
        note(html, mr_text_words(&html->found->text, (const char *)bytes, (size_t)n));
    }
}

static void on_complaint(void *ctx, const char *fmt, ...)
{
    (void)ctx, (void)fmt; /* all HTML is somewhat wrong */
}

int mr_html_read(const char *utf8, size_t n, struct mr_found *found, struct mr_err *why)
{
    struct html html = {.found = found, .title = MR_BUF_INIT(1024)};
    htmlSAXHandler sax = {
        .startElement = on_start,
        .endElement = on_end,
        .characters = on_text,
        .ignorableWhitespace = on_text,
        .cdataBlock = NULL, /* the contents of scripts and styles */
        .warning = on_complaint,
        .error = on_complaint,
        .fatalError = on_complaint,
    };
    found->media_type = "text/html";
    html.parser = htmlCreatePushParserCtxt(&sax, &html, NULL, 0, NULL, XML_CHAR_ENCODING_UTF8);
    if (!html.parser)
        return mr_err_set(why, MR_EXTRACT_MEMORY, MR_CLASS_INVALID, "no memory for the page");
    htmlCtxtUseOptions(html.parser, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                        HTML_PARSE_NONET | HTML_PARSE_IGNORE_ENC |
                                        HTML_PARSE_COMPACT);
    for (size_t at = 0; at < n && html.rc == 0;) {
        size_t part = n - at < (1 << 20) ? n - at : 1 << 20;
        htmlParseChunk(html.parser, utf8 + at, (int)part, 0);
        at += part;
    }
    if (html.rc == 0)
        htmlParseChunk(html.parser, NULL, 0, 1);
    htmlFreeParserCtxt(html.parser);
    mr_found_title(found, html.title.data, html.title.len);
    mr_buf_deinit(&html.title);
    if (html.rc < 0)
        return mr_err_set(why, MR_EXTRACT_MEMORY, MR_CLASS_INVALID, "no memory for the page");
    return MR_EXTRACT_OK;
}
