/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/catalog.h"

#include "common/check.h"
#include "proto/name_lines.h"
#include "worker/auth/identity.h"
#include "worker/auth/rights.h"
#include "worker/auth/snapshot.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/registry/registry.h"
#include "worker/storage/store.h"

#define CATALOG_LIST_MIN  1000
#define CATALOG_BYTES_MAX (4u * 1024 * 1024)

struct listing {
	const struct catalog_ask *ask;
	catalog_take_f *take;
	void *arg;
	size_t taken, seen;
	bool full; /* there is one more that may be read */
	char last_seen[OCI_LAST_MAX + 1];
};

static bool on_name(void *arg, struct str name)
{
	struct listing *listing = arg;
	const struct catalog_ask *ask = listing->ask;

	listing->seen++;
	if (!str_copy(name, listing->last_seen, sizeof(listing->last_seen)) ||
		!rights_allow(ask->snapshot, ask->identity, name, ACTION_READ))
		return true;
	if (listing->taken == ask->n || !listing->take(listing->arg, name)) {
		listing->full = true;
		return false;
	}
	listing->taken++;
	return true;
}

bool catalog_list(
	const struct catalog_ask *ask, catalog_take_f *take, void *arg, bool *ret_more, struct error *err)
{
	struct listing listing = { .ask = ask, .take = take, .arg = arg };
	size_t n = ask->n < CATALOG_LIST_MIN ? CATALOG_LIST_MIN : ask->n + 1;
	bool more = true;

	CHECK(str_copy(str_of(ask->after), listing.last_seen, sizeof(listing.last_seen)));
	while (more && !listing.full) {
		char after[OCI_LAST_MAX + 1];
		CHECK(str_copy(str_of(listing.last_seen), after, sizeof(after)));
		listing.seen = 0;
		if (!store_catalog(ask->registry->store, *after ? str_of(after) : STR_NONE, n, on_name,
			    &listing, &more, err))
			return false;
		if (!listing.seen)
			break;
	}
	*ret_more = listing.full;
	return true;
}

void catalog_page_begin(struct catalog_page *page)
{
	page->body = buf_limit(CATALOG_BYTES_MAX);
	page->writer = json_writer(&page->body);
	page->last[0] = '\0';
	json_open_object(&page->writer);
	json_key(&page->writer, STR("repositories"));
	json_open_array(&page->writer);
}

bool catalog_page_take(void *arg, struct str name)
{
	struct catalog_page *page = arg;

	if (page->body.len + 2048 > CATALOG_BYTES_MAX)
		return false;
	json_value_str(&page->writer, name);
	CHECK(str_copy(name, page->last, sizeof(page->last)));
	return true;
}

struct http_response *catalog_page_end(struct catalog_page *page, size_t n, bool more)
{
	AUTO_FINI(buf) link = buf_limit(8192);
	struct http_response *response;

	json_close_array(&page->writer);
	json_close_object(&page->writer);
	response = oci_reply_json(200, "application/json", &page->body);
	buf_fini(&page->body);
	if (more && *page->last) {
		oci_page_link(STR("/v2/_catalog"), n, str_of(page->last), "", &link);
		http_response_header(response, "Link", buf_text(&link));
	}
	return response;
}

/* ---- for a peer ---- */

static bool asks_for_lines(const struct oci_ask *ask)
{
	return ask->identity->peer && http_query_get(ask->query, CATALOG_LINES, NULL);
}

static bool take_line(void *arg, struct str name)
{
	name_lines_put(arg, name);
	return true;
}

bool catalog_lines(const struct catalog_ask *ask, struct buf *into, struct error *err)
{
	bool more = false;

	*into = buf_limit(NAME_LINES_MAX(ask->n));
	(void)buf_reserve(into, ask->n * NAME_LINES_USUAL);
	if (ask->n && !catalog_list(ask, take_line, into, &more, err))
		return false;
	if (more)
		name_lines_put_more(into);
	return true;
}

static struct http_response *reply_lines(const struct catalog_ask *ask)
{
	AUTO_FINI(buf) lines = buf_limit(0);
	struct http_response *response;
	struct error err;

	if (!catalog_lines(ask, &lines, &err))
		return oci_reply_error(&err);
	response = http_response_buf(200, &lines);
	http_response_header(response, "Content-Type", "text/plain");
	return response;
}

struct http_response *oci_catalog_job(void *arg)
{
	struct oci_job *job = arg;
	struct catalog_ask ask = {
		.registry = job->ask.registry, .snapshot = job->ask.snapshot, .identity = job->ask.identity
	};
	struct catalog_page page;
	struct oci_page asked;
	bool more = false;
	struct error err;

	if (!oci_page_parse(job->ask.query, CATALOG_PAGE_MAX, &asked, &err))
		return oci_reply_error(&err);
	ask.after = asked.last;
	ask.n = asked.n;
	if (asks_for_lines(&job->ask))
		return reply_lines(&ask);
	catalog_page_begin(&page);
	if (asked.n && !catalog_list(&ask, catalog_page_take, &page, &more, &err)) {
		buf_fini(&page.body);
		return oci_reply_error(&err);
	}
	return catalog_page_end(&page, asked.n, more);
}
