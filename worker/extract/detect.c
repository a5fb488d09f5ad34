#include "worker/extract/detect.h"

#include <string.h>
#include <strings.h>

static const struct {
    size_t at;
    const char *magic;
    size_t len;
    const char *what;
} refused[] = {
    {0, "\x89PNG\r\n\x1a\n", 8, "a PNG image"},
    {0, "\xff\xd8\xff", 3, "a JPEG image"},
    {0, "GIF8", 4, "a GIF image"},
    {0, "BM", 2, "a BMP image"},
    {0, "II*\0", 4, "a TIFF image"},
    {0, "MM\0*", 4, "a TIFF image"},
    {8, "WEBP", 4, "a WebP image"},
    {8, "WAVE", 4, "a sound file"},
    {0, "ID3", 3, "a sound file"},
    {0, "OggS", 4, "a sound file"},
    {0, "fLaC", 4, "a sound file"},
    {4, "ftyp", 4, "a video or HEIC image"},
    {0, "\x1a\x45\xdf\xa3", 4, "a video"},
    {0, "\x1f\x8b", 2, "a gzip archive"},
    {0, "BZh", 3, "a bzip2 archive"},
    {0,
        "\xfd"
        "7zXZ",
        5, "an xz archive"},
    {0, "\x28\xb5\x2f\xfd", 4, "a zstd archive"},
    {0, "7z\xbc\xaf\x27\x1c", 6, "a 7z archive"},
    {0, "Rar!", 4, "a RAR archive"},
    {257, "ustar", 5, "a tar archive"},
    {0,
        "\x7f"
        "ELF",
        4, "a program"},
    {0, "MZ", 2, "a program"},
    {0, "\xca\xfe\xba\xbe", 4, "a program"},
    {0, "SQLite format 3", 15, "a database"},
    {0, "%!PS", 4, "a PostScript file"},
    {0, "{\\rtf", 5, "an RTF file"},
    {0, "wOFF", 4, "a font"},
    {0, "\0asm", 4, "a program"},
};

static bool has(const struct mr_source *source, size_t at, const char *magic, size_t len)
{
    return source->n >= at + len && memcmp(source->bytes + at, magic, len) == 0;
}

static bool claims(const struct mr_source *source, const char *ext, const char *type)
{
    return strcmp(source->ext, ext) == 0 || strcasecmp(source->type, type) == 0;
}

#define DOCX_TYPE "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
#define ODT_TYPE "application/vnd.oasis.opendocument.text"

static bool is_pdf(const struct mr_source *source)
{
    size_t at = 0;
    while (at < 16 && at < source->n && strchr(" \t\r\n\xef\xbb\xbf", source->bytes[at]))
        at++;
    if (has(source, at, "%PDF-", 5))
        return true;
    size_t look = source->n < 1024 ? source->n : 1024; /* leading junk, if it is called a PDF */
    return claims(source, "pdf", "application/pdf") && memmem(source->bytes, look, "%PDF-", 5);
}

/* The old binary Office container, which also wraps encrypted new documents. */
static int explain_ole(const struct mr_source *source, struct mr_err *why)
{
    static const char name[] = "E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e";
    if (memmem(source->bytes, source->n, name, sizeof(name)))
        return mr_err_set(
            why, MR_EXTRACT_PASSWORD, MR_CLASS_INVALID, "the file is protected by a password");
    return mr_err_set(why, MR_EXTRACT_UNSUPPORTED, MR_CLASS_INVALID,
        "unsupported document: an Office file of before 2007 (save it as .docx)");
}

enum mr_format mr_detect(const struct mr_source *source, int *ret_exit, struct mr_err *why)
{
    if (is_pdf(source))
        return MR_FORMAT_PDF;
    if (has(source, 0, "PK\3\4", 4) || has(source, 0, "PK\5\6", 4))
        return MR_FORMAT_ZIP;
    if (has(source, 0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8)) {
        *ret_exit = explain_ole(source, why);
        return MR_FORMAT_OTHER;
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        /* Two letters may begin a text as well. */
        if (refused[i].len == 2 && refused[i].magic[0] > 0 &&
            !memchr(source->bytes, '\0', source->n < 64 ? source->n : 64))
            continue;
        if (has(source, refused[i].at, refused[i].magic, refused[i].len)) {
            *ret_exit = mr_err_set(why, MR_EXTRACT_UNSUPPORTED, MR_CLASS_INVALID,
                "unsupported document: %s", refused[i].what);
            return MR_FORMAT_OTHER;
        }
    }
    return MR_FORMAT_TEXT;
}

void mr_detect_explain(const struct mr_source *source, struct mr_err *why)
{
    const char *called = NULL;
    if (claims(source, "pdf", "application/pdf"))
        called = "PDF";
    else if (claims(source, "docx", DOCX_TYPE))
        called = "Word document";
    else if (claims(source, "odt", ODT_TYPE))
        called = "OpenDocument text";
    if (called)
        mr_err_set(why, 0, MR_CLASS_INVALID,
            "the file is damaged: called a %s, but it holds binary data that is none", called);
}
