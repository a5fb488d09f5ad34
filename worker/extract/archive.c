#include "worker/extract/archive.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#define ENTRIES_MAX 20000
#define EXPANDED_MAX (256u << 20) /* bytes of XML read from one archive */
#define RATIO_MAX 200             /* honest office XML shrinks to a tenth */
#define RATIO_FROM (4u << 20)     /* below this many bytes the ratio does not matter */

struct mr_archive {
    zip_t *zip;
    uint64_t expanded; /* bytes read so far from all entries */
};

static int zip_failure(zip_error_t *error, struct mr_err *why)
{
    int code = zip_error_code_zip(error);
    if (code == ZIP_ER_MEMORY)
        return mr_err_set(why, MR_EXTRACT_MEMORY, MR_CLASS_INVALID, "no memory for the archive");
    return mr_err_set(why, MR_EXTRACT_DAMAGED, MR_CLASS_INVALID, "the file is damaged: %s",
        zip_error_strerror(error));
}

int mr_archive_open(const char *bytes, size_t n, struct mr_archive **ret, struct mr_err *why)
{
    zip_error_t error;
    zip_error_init(&error);
    struct mr_archive *archive = calloc(1, sizeof(*archive));
    zip_source_t *source = zip_source_buffer_create(bytes, n, 0, &error);
    if (archive && source)
        archive->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (!archive || !archive->zip) {
        int rc = zip_failure(&error, why);
        zip_source_free(source);
        free(archive);
        zip_error_fini(&error);
        return rc;
    }
    zip_error_fini(&error);
    if (zip_get_num_entries(archive->zip, 0) > ENTRIES_MAX) {
        mr_archive_free(archive);
        return mr_err_set(why, MR_EXTRACT_BOMB, MR_CLASS_INVALID,
            "the archive holds more than %d files", ENTRIES_MAX);
    }
    *ret = archive;
    return 0;
}

struct mr_archive *mr_archive_free(struct mr_archive *archive)
{
    if (archive) {
        zip_discard(archive->zip);
        free(archive);
    }
    return NULL;
}

bool mr_archive_has(struct mr_archive *archive, const char *name)
{
    return zip_name_locate(archive->zip, name, 0) >= 0;
}

bool mr_archive_peek(struct mr_archive *archive, const char *name, char *ret, size_t size)
{
    zip_file_t *file = zip_fopen(archive->zip, name, 0);
    if (!file)
        return false;
    zip_int64_t n = zip_fread(file, ret, size - 1);
    zip_fclose(file);
    if (n < 0)
        return false;
    ret[n] = '\0';
    return true;
}

/* ---- XML of one entry ---- */

struct stream {
    struct mr_archive *archive;
    zip_file_t *file;
    uint64_t compressed, expanded; /* bytes: of the entry, read so far */
    bool bomb, broken;
};

static bool beyond_reason(const struct stream *stream)
{
    return stream->archive->expanded > EXPANDED_MAX ||
           (stream->expanded > RATIO_FROM && stream->expanded / RATIO_MAX > stream->compressed);
}

static int read_stream(void *ctx, char *bytes, int n)
{
    struct stream *stream = ctx;
    zip_int64_t got = zip_fread(stream->file, bytes, (zip_uint64_t)n);
    if (got < 0) {
        stream->broken = true;
        return -1;
    }
    stream->expanded += (uint64_t)got;
    stream->archive->expanded += (uint64_t)got;
    if (beyond_reason(stream)) {
        stream->bomb = true;
        return -1;
    }
    return (int)got;
}

static int close_stream(void *ctx)
{
    (void)ctx; /* the entry is closed by its opener */
    return 0;
}

static int bomb(const char *name, struct mr_err *why)
{
    return mr_err_set(why, MR_EXTRACT_BOMB, MR_CLASS_INVALID,
        "the file is a zip bomb: %s expands beyond reason", name);
}

static int open_entry(
    struct mr_archive *archive, const char *name, struct stream *stream, struct mr_err *why)
{
    zip_stat_t stat;
    zip_stat_init(&stat);
    if (zip_stat(archive->zip, name, 0, &stat) != 0)
        return mr_err_set(why, MR_EXTRACT_DAMAGED, MR_CLASS_INVALID,
            "the file is damaged: %s is missing in it", name);
    if ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD) && stat.encryption_method != ZIP_EM_NONE)
        return mr_err_set(
            why, MR_EXTRACT_PASSWORD, MR_CLASS_INVALID, "the file is protected by a password");
    if (stat.size > RATIO_FROM && stat.size / RATIO_MAX > stat.comp_size)
        return bomb(name, why);
    *stream = (struct stream){.archive = archive, .compressed = stat.comp_size};
    stream->file = zip_fopen_index(archive->zip, stat.index, 0);
    if (!stream->file)
        return zip_failure(zip_get_error(archive->zip), why);
    return 0;
}

static int walk(xmlTextReaderPtr reader, mr_xml_node_fn *node, void *ctx, struct mr_err *why)
{
    int rc;
    while ((rc = xmlTextReaderRead(reader)) == 1) {
        if (xmlTextReaderNodeType(reader) == XML_READER_TYPE_DOCUMENT_TYPE)
            return mr_err_set(why, MR_EXTRACT_DAMAGED, MR_CLASS_INVALID,
                "the file is damaged: it holds a document type declaration");
        rc = node(ctx, reader, why);
        if (rc != 0)
            return rc == 1 ? 0 : rc;
    }
    return rc == 0 ? 0 : -1;
}

static void on_complaint(
    void *ctx, const char *msg, xmlParserSeverities severity, xmlTextReaderLocatorPtr locator)
{
    (void)ctx, (void)msg, (void)severity, (void)locator; /* the read says that it failed */
}

int mr_archive_xml(struct mr_archive *archive, const char *name, mr_xml_node_fn *node, void *ctx,
    struct mr_err *why)
{
    struct stream stream;
    int rc = open_entry(archive, name, &stream, why);
    if (rc != 0)
        return rc;
    xmlTextReaderPtr reader = xmlReaderForIO(read_stream, close_stream, &stream, NULL, NULL,
        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_COMPACT);
    if (!reader) {
        zip_fclose(stream.file);
        return mr_err_set(why, MR_EXTRACT_MEMORY, MR_CLASS_INVALID, "no memory for the file");
    }
    xmlTextReaderSetErrorHandler(reader, on_complaint, NULL);
    rc = walk(reader, node, ctx, why);
    xmlFreeTextReader(reader);
    zip_fclose(stream.file);
    if (stream.bomb)
        return bomb(name, why);
    if (rc == -1)
        return mr_err_set(why, MR_EXTRACT_DAMAGED, MR_CLASS_INVALID,
            "the file is damaged: %s in it is %s", name,
            stream.broken ? "corrupt" : "not well-formed XML");
    return rc;
}
