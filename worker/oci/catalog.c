/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog - the repositories of the store that the client may read, page by page.
 *
 * The store lists names in order; those that the client may not read are passed over, and more are
 * listed until the page is full.
 */
#include "common/check.h"
#include "common/json.h"
#include "worker/auth/rights.h"
#include "worker/auth/snapshot.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_page.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/registry/registry.h"
#include "worker/storage/store.h"

#define CATALOG_PAGE_MAX  10000
#define CATALOG_LIST_MIN  1000
#define CATALOG_BYTES_MAX (4u * 1024 * 1024)

struct listing {
	const struct oci_ask *ask;
	struct json_writer writer;
	size_t wanted, put, seen;
	bool full; /* there is one more that may be read */
	char last_put[OCI_LAST_MAX + 1];
	char last_seen[OCI_LAST_MAX + 1];
};

static bool may_read(const struct oci_ask *ask, struct str name)
{
	return rights_allow(ask->snapshot, ask->identity, name, ACTION_READ);
}

/* Its new owner lists it. */
static bool is_away(const struct registry *registry, struct str name)
{
	return registry->is_away && registry->is_away(registry->away_arg, name);
}

static bool on_name(void *arg, struct str name)
{
	struct listing *listing = arg;

	listing->seen++;
	if (!str_copy(name, listing->last_seen, sizeof(listing->last_seen)) ||
		!may_read(listing->ask, name) || is_away(listing->ask->registry, name))
		return true;
	if (listing->put == listing->wanted || listing->writer.into->len + 2048 > CATALOG_BYTES_MAX) {
		listing->full = true;
		return false;
	}
	json_value_str(&listing->writer, name);
	CHECK(str_copy(name, listing->last_put, sizeof(listing->last_put)));
	listing->put++;
	return true;
}

static bool list(struct store *store, struct listing *listing, struct error *err)
{
	bool more = true;

	while (more && !listing->full) {
		char after[OCI_LAST_MAX + 1];
		size_t n = listing->wanted < CATALOG_LIST_MIN ? CATALOG_LIST_MIN : listing->wanted + 1;
		CHECK(str_copy(str_of(listing->last_seen), after, sizeof(after)));
		listing->seen = 0;
		if (!store_catalog(store, *after ? str_of(after) : STR_NONE, n, on_name, listing, &more, err))
			return false;
		if (!listing->seen)
			break;
	}
	return true;
}

struct http_response *oci_catalog_job(void *arg)
{
	struct oci_job *job = arg;
	AUTO_FINI(buf) body = buf_limit(CATALOG_BYTES_MAX);
	AUTO_FINI(buf) link = buf_limit(8192);
	struct listing listing = { .ask = &job->ask, .writer = json_writer(&body) };
	struct http_response *response;
	struct oci_page page;
	struct error err;

	if (!oci_page_parse(job->ask.query, CATALOG_PAGE_MAX, &page, &err))
		return oci_reply_error(&err);
	listing.wanted = page.n;
	CHECK(str_copy(str_of(page.last), listing.last_seen, sizeof(listing.last_seen)));
	json_open_object(&listing.writer);
	json_key(&listing.writer, STR("repositories"));
	json_open_array(&listing.writer);
	if (page.n && !list(job->ask.registry->store, &listing, &err))
		return oci_reply_error(&err);
	json_close_array(&listing.writer);
	json_close_object(&listing.writer);
	response = oci_reply_json(200, "application/json", &body);
	if (listing.full && listing.put) {
		oci_page_link(STR("/v2/_catalog"), page.n, str_of(listing.last_put), "", &link);
		http_response_header(response, "Link", buf_text(&link));
	}
	return response;
}
