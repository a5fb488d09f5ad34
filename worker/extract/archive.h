/* A ZIP archive in memory, read with the caps that keep a bomb from going off. */
#pragma once

#include "worker/extract/extract.h"

#include <libxml/xmlreader.h>

struct mr_archive;

/* Borrows the bytes until mr_archive_free (which takes NULL and returns NULL). 0, DAMAGED, BOMB
 * (too many entries) or MEMORY. */
int mr_archive_open(
    const char *bytes, size_t n, struct mr_archive **ret, struct mr_err *why) MR_CHECK;
struct mr_archive *mr_archive_free(struct mr_archive *archive);

bool mr_archive_has(struct mr_archive *archive, const char *name);

/* The first bytes of a small entry as text, NUL-terminated. false when there is no such entry. */
bool mr_archive_peek(struct mr_archive *archive, const char *name, char *ret, size_t size);

/* Calls node for every node of the XML entry, in document order: no DTD, no entities, no network.
 * node returns 0 to go on, 1 to stop early, or an mr_extract_exit above. 0, or DAMAGED, BOMB,
 * PASSWORD, MEMORY, or what node said. A missing entry is DAMAGED. */
typedef int mr_xml_node_fn(void *ctx, xmlTextReaderPtr reader, struct mr_err *why);
int mr_archive_xml(struct mr_archive *archive, const char *name, mr_xml_node_fn *node, void *ctx,
    struct mr_err *why) MR_CHECK;
