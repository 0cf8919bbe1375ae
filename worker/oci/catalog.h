/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog - the repositories that a client may read, page by page: out of this worker's store, and how a page of them is said.
 *
 * The store lists names in order; those that the client may not read are passed over, and more are listed until the page is full.
 * Where each member has a storage of its own, pages are put together of those of all: worker/front/front_catalog.h. A peer that says
 * CATALOG_LINES in its query is answered as in proto/name_lines.h, without a Link; whoever else says so, as if they had not.
 * Thread  pool for catalog_list(), which waits for the store; any for the rest.
 */
#pragma once

#include "common/buf.h"
#include "common/json.h"
#include "worker/oci/oci_page.h"

struct http_response;
struct identity;
struct snapshot;
struct registry;

#define CATALOG_PAGE_MAX 10000 /* names; also of who names no number */
#define CATALOG_LINES    "lines"

struct catalog_ask {
	struct registry *registry;
	const struct snapshot *snapshot;
	const struct identity *identity; /* who may read them */
	const char *after;               /* exclusive; "": from the first */
	size_t n;
};
/* False: there is no room for it. */
typedef bool catalog_take_f(void *arg, struct str name);
/* Gives at most n names in byte order. *ret_more: there is one more that may be read. */
bool catalog_list(const struct catalog_ask *ask, catalog_take_f *take, void *arg, bool *ret_more, struct error *err) MUST_CHECK;

/* The same as members tell it each other (proto/name_lines.h). *into is set in any case. */
bool catalog_lines(const struct catalog_ask *ask, struct buf *into, struct error *err) MUST_CHECK;

/* The answer as it grows. */
struct catalog_page {
	struct buf body;
	struct json_writer writer;
	char last[OCI_LAST_MAX + 1];
};
void catalog_page_begin(struct catalog_page *page);
catalog_take_f catalog_page_take; /* arg: the page */
/* With the Link to the next one where there is more behind n. Ends the page. */
struct http_response *catalog_page_end(struct catalog_page *page, size_t n, bool more);
