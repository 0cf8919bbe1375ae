/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/leader_call.h"

#include "common/loop.h"
#include "common/url.h"
#include "worker/cluster/cluster_priv.h"

#define LOGIN_MAX 1024

static void add(struct http_headers *headers, const char *name, const char *value)
{
	/* What the operator wrote into a name or URL may not be fit for a header: then it is left out. */
	if (value && *value)
		(void)!http_headers_add(headers, str_of(name), str_of(value));
}

void leader_call_login(const struct member_settings *settings, struct buf *into)
{
	AUTO_FINI(buf) login = buf_limit(LOGIN_MAX);

	buf_format(&login, "%s:%s", settings->leader_client_id, settings->leader_client_secret);
	if (login.failed)
		into->failed = true;
	http_basic(buf_str(&login), into);
}

static struct http_headers *headers_of(const struct leader_call *call)
{
	const struct cluster *cluster = call->cluster;
	struct http_headers *headers = http_headers_new();
	AUTO_FINI(buf) login = buf_limit(2 * LOGIN_MAX);

	leader_call_login(&cluster->settings, &login);
	add(headers, "Authorization", buf_text(&login));
	add(headers, "Host", cluster->settings.leader_host);
	add(headers, "Zot-Worker-Id", cluster->process);
	add(headers, "Zot-Worker-Name", cluster->self);
	add(headers, "Zot-Worker-Url", cluster->url);
	if (call->accept_gzip)
		add(headers, "Accept-Encoding", "gzip");
	if (call->body.len)
		add(headers, "Content-Type", "application/json");
	return headers;
}

struct http_call *leader_call_start(const struct leader_call *call, struct http_call_events events)
{
	const struct member_settings *settings = &call->cluster->settings;
	AUTO(http_headers) *headers = headers_of(call);
	AUTO_FINI(buf) url = buf_limit(4096);

	loop_assert(call->loop ? call->loop : call->cluster->run.loop);
	buf_add(&url, url_without_end(str_of(call->leader)));
	buf_puts(&url, call->path);
	struct http_call_spec spec = {
		.method = call->method,
		.url = buf_text(&url),
		.headers = headers,
		.body = call->body,
		.body_fd = -1,
		.has_body = call->body.len > 0,
		.ca_file = settings->ca_file,
		.cert_file = settings->cert_file,
		.key_file = settings->key_file,
		.total_ms = call->total_ms,
		.stall_ms = call->total_ms,
	};
	return http_call_start(call->client ? call->client : call->cluster->run.client, &spec, events);
}
