/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/front_others.h"

#include <inttypes.h>

#include "common/http_client.h"
#include "proto/range.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/cluster.h"
#include "worker/cluster/peer_question.h"
#include "worker/front/front.h"
#include "worker/oci/oci_ask.h"
#include "worker/registry/mounts.h"

#define CONNECT_MS 2000
#define STALL_MS   5000
#define PIECE_MS   30000

static bool find(void *arg, const struct oci_ask *ask, struct str name, const struct ring_member **ret)
{
	const struct front *front = arg;
	struct place_found found;

	if (!ask->snapshot->isolated)
		return false;
	found = cluster_place(front->cluster, ask->snapshot, name);
	*ret = found.member;
	return found.place == PLACE_PEER;
}

static bool is_leaving(void *arg)
{
	const struct front *front = arg;

	return cluster_is_draining(front->cluster);
}

/* A whole blob of no byte has no range. */
static bool read_size(const struct http_result *result, uint64_t at, uint64_t *ret_size, struct error *err)
{
	const char *range = http_headers_find(result->headers, "Content-Range");
	struct range first;

	if (result->status == 206 && content_range_parse_answer(str_of(range), &first, ret_size) &&
		first.first == at && first.last - first.first + 1 == result->body.len)
		return true;
	*ret_size = result->status == 200 ? result->body.len : 0;
	if (!at && (result->status == 200 ||
			   (result->status == 416 && range && str_is(str_of(range), "bytes */0"))))
		return true;
	if (result->status == 404)
		return error_set(err, ERROR_UNKNOWN, NULL, "it has no such blob");
	if (result->status == 401 || result->status == 403)
		return error_set(err, ERROR_DENIED, NULL, "the client may not read it there");
	return error_set(err, ERROR_UNAVAILABLE, NULL, "it answered %u", result->status);
}

static bool send_question(
	struct peer_question *question, struct http_result *result, bool *ret_again, struct error *err)
{
	struct http_call_spec spec = { .connect_ms = CONNECT_MS, .stall_ms = STALL_MS, .total_ms = PIECE_MS };
	struct peer_asked asked;
	bool ok;

	*ret_again = false;
	if (!peer_question_sign(question, &asked, &spec, err))
		return false;
	ok = http_send(&spec, result, err);
	if (!ok && err->kind == ERROR_UNAVAILABLE)
		cluster_peer_failed(question->cluster, str_of(question->member->id));
	ok = ok && peer_question_answered(question, &asked, result->status, result->headers, ret_again, err);
	peer_asked_fini(&asked);
	return ok;
}

static bool ask_for(
	struct peer_question *question, uint64_t at, struct buf *into, uint64_t *ret_size, struct error *err)
{
	bool again = true, ok = false;

	for (unsigned tries = 0; tries < 2 && again && !ok; tries++) {
		struct http_result result;
		/* A refusal has a body, too. */
		http_result_init(&result, into->max > 4096 ? into->max : 4096);
		ok = send_question(question, &result, &again, err);
		if (ok) {
			ok = read_size(&result, at, ret_size, err);
			again = false;
		}
		if (ok && result.status != 416)
			buf_add(into, buf_str(&result.body));
		http_result_fini(&result);
	}
	return ok && buf_check(into, "a piece of the blob", err);
}

static bool read_piece(void *arg, const struct oci_ask *ask, const struct ring_member *member,
	struct str name, const struct digest *digest, uint64_t at, struct buf *into, uint64_t *ret_size,
	struct error *err)
{
	const struct front *front = arg;
	AUTO_FINI(buf) target = buf_limit(1024);
	AUTO_FINI(buf) range = buf_limit(64);
	char text[DIGEST_TEXT_SIZE];
	struct peer_question question = { .cluster = front->cluster,
		.snapshot = ask->snapshot,
		.identity = ask->identity,
		.from = ask->client,
		.member = member,
		.method = "GET",
		.files = { front->peer_ca, front->peer_cert, front->peer_key } };

	digest_format(digest, text);
	buf_format(&target, "/v2/%.*s/blobs/%s?" FRONT_JUDGE_QUERY "=1", STR_ARGS(name), text);
	buf_format(&range, "bytes=%" PRIu64 "-%" PRIu64, at, at + into->max - 1);
	question.target = buf_text(&target);
	question.range = buf_text(&range);
	buf_clear(into);
	return ask_for(&question, at, into, ret_size, err);
}

void front_others_init(struct front *front)
{
	front->others = (struct oci_others){ .arg = front,
		.mounts = mounts_new(),
		.find = find,
		.read = read_piece,
		.is_leaving = is_leaving };
}

void front_others_fini(struct front *front)
{
	mounts_free(TAKE(front->others.mounts));
}
