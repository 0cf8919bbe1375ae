/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_redirect - a GET is answered 307 with a URL of the store, where the client gets the blob itself.
 *
 * The store is asked whether it has the blob, so that who follows finds it, and 404 has our words. A range is the client's
 * business: it repeats it there. What is counted by a quota of bytes passes through here instead.
 *
 * The URL is signed with our keys: whoever has it may read this one object until its end. So no cache keeps the answer.
 */
#include "worker/oci/blob_get.h"

#include "worker/oci/oci_call.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_reply.h"
#include "worker/registry/registry.h"
#include "worker/storage/store.h"

#define URL_MAX (24 * 1024)

bool blob_may_redirect(const struct oci_call *call)
{
	const struct registry *registry = call->ask.registry;

	return registry->options.redirect_s && !call->keeps_bytes &&
	       store_has_links(registry->store, name_str(&call->ask.route.name));
}

static struct http_response *redirect_job(void *arg)
{
	const struct oci_ask *ask = &((struct oci_job *)arg)->ask;
	struct store *store = ask->registry->store;
	struct str name = name_str(&ask->route.name);
	AUTO_FINI(buf) url = buf_limit(URL_MAX);
	struct http_response *response;
	struct error err;
	uint64_t size;

	if (!store_blob_size(store, name, &ask->route.digest, &size, &err))
		return oci_reply_unknown(&err, "BLOB_UNKNOWN");
	if (!store_blob_link(store, name, &ask->route.digest, ask->registry->options.redirect_s, &url, &err))
		return oci_reply_error(&err);
	response = http_response_empty(307);
	http_response_header(response, "Location", buf_text(&url));
	http_response_header(response, "Cache-Control", "no-store");
	oci_reply_digest(response, &ask->route.digest);
	counter_add(&ask->counters->blob_pulls_total, 1);
	counter_add(&ask->counters->blob_redirects_total, 1);
	return response;
}

void blob_start_redirect(struct oci_call *call)
{
	oci_job_start(call, redirect_job);
}
