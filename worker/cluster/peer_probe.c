/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/peer_probe.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/http_client.h"
#include "common/loop.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/cluster/peer_claims.h"

#define METHOD     "GET"
#define CONNECT_MS 3000u

static void sign(struct peer_probe *probe, const struct snapshot *snapshot, const char *receiver)
{
	const struct peer_request request = { .method = STR(METHOD), .target = STR(PEER_PROBE_PATH) };
	struct str key = peer_claims_key(probe->cluster, snapshot);
	AUTO_FINI(buf) token = buf_limit(PEER_TOKEN_MAX);
	struct peer_claims claims = peer_claims_of(probe->cluster, snapshot, receiver);

	CHECK(key.len == sizeof(probe->key));
	memcpy(probe->key, key.at, key.len);
	claims.anonymous = true;
	peer_token_format(key, &request, &claims, &token);
	CHECK(!token.failed);
	free(probe->token);
	probe->token = check_strdup(buf_text(&token));
}

static void on_done(void *arg, struct http_call *call, const struct error *err)
{
	struct peer_probe *probe = arg;

	loop_assert(probe->cluster->run.loop);
	probe->call = NULL;
	probe->done(probe->arg, call, err && !http_call_status(call) ? err : NULL);
}

void peer_probe_send(struct peer_probe *probe, const struct snapshot *snapshot, const char *url,
	const char *receiver, unsigned total_ms)
{
	struct cluster *cluster = probe->cluster;
	AUTO(http_headers) *headers = http_headers_new();
	AUTO_FINI(buf) target = buf_limit(2048);

	loop_assert(cluster->run.loop);
	CHECK(!probe->call);
	sign(probe, snapshot, receiver);
	CHECK(http_headers_add(headers, STR(PEER_HEADER), str_of(probe->token)));
	buf_puts(&target, url);
	buf_puts(&target, PEER_PROBE_PATH);
	struct http_call_spec spec = { .method = METHOD,
		.url = buf_text(&target),
		.headers = headers,
		.ca_file = cluster->settings.ca_file,
		.cert_file = cluster->settings.cert_file,
		.key_file = cluster->settings.key_file,
		.fresh = true,
		.connect_ms = total_ms < CONNECT_MS ? total_ms : CONNECT_MS,
		.total_ms = total_ms };
	probe->call = http_call_start(
		cluster->run.client, &spec, (struct http_call_events){ .arg = probe, .on_done = on_done });
}

bool peer_probe_who(const struct peer_probe *probe, struct http_call *call, struct peer_answer *ret)
{
	return peer_answer_parse(str_from(probe->key, sizeof(probe->key)), str_of(probe->token),
		http_headers_find(http_call_headers(call), PEER_ANSWER_HEADER), ret);
}

void peer_probe_end(struct peer_probe *probe)
{
	if (probe->call)
		http_call_cancel(TAKE(probe->call));
	free(probe->token);
	probe->token = NULL;
}
