/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fields - what is given on the command line, as the body of a request.
 *
 *     enabled=false        JSON, where it is JSON
 *     label=for ci         else a text; one that looks like JSON goes in its quotes: label='"5"'
 *     groups='["dev"]'
 *     metadata.team=core   a member of an object
 *     password=@FILE       the first line of a file, of standard input with "-": a text, whatever it looks like
 *
 * Thread  main.
 */
#pragma once

#include <stddef.h>

#include "common/buf.h"
#include "common/error.h"

#define FIELDS_BODY_MAX (1024u * 1024)

/* {"id":id, ...}; id NULL: without. */
bool fields_body(const char *id, const char *const *fields, size_t len, struct buf *into, struct error *err) MUST_CHECK;
/* All of a file, "-" is standard input. */
bool fields_read(const char *path, struct buf *into, struct error *err) MUST_CHECK;
