/*
 * media.h: content types of files by their extension, and the name under which one is to be kept.
 * Pure. Runs in: any thread.
 */
#ifndef CRESCENT_HTTP_MEDIA_H
#define CRESCENT_HTTP_MEDIA_H

#include "base/buf.h"

/* By the extension of the path's last part, whatever its case: "text/css; charset=utf-8"; else
 * "application/octet-stream". */
const char *media_type(struct slice path);
/*
 * Appends the value of a Content-Disposition that has the body kept under this name (RFC 6266, RFC 8187):
 * `attachment; filename="report.pdf"`, and filename*= where it takes more than plain ASCII. name: UTF-8 without
 * controls.
 */
void media_attachment(struct slice name, struct buf *into);

#endif
