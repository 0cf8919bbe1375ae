/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/peer_question.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/http_client.h"
#include "proto/ring.h"
#include "worker/auth/identity.h"
#include "worker/auth/peer_headers.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/cluster.h"
#include "worker/cluster/peer_claims.h"

static bool keep_key(const struct peer_question *question, struct peer_asked *asked)
{
	struct str key = peer_claims_key(question->cluster, question->snapshot);

	if (key.len > sizeof(asked->key))
		return false;
	memcpy(asked->key, key.at, key.len);
	asked->key_len = key.len;
	return true;
}

static bool sign(const struct peer_question *question, struct peer_asked *asked)
{
	AUTO_FINI(buf) lines = buf_limit((size_t)64 * 1024);
	AUTO_FINI(buf) token = buf_limit(PEER_TOKEN_MAX);
	struct peer_request request = { .method = str_of(question->method),
		.target = str_of(question->target),
		.length = (int64_t)question->body.len };
	struct peer_claims claims = peer_claims_of(question->cluster, question->snapshot, asked->name);
	char client[INET6_ADDRSTRLEN];
	uint8_t digest[HASH_MAX];

	peer_signed_list(asked->headers, &lines);
	request.headers = buf_str(&lines);
	ip_format(&question->from, client);
	claims.client = client;
	claims.has_digest = question->body.len > 0;
	identity_claim(question->identity, &claims);
	hash_bytes(HASH_SHA256, question->body.at, question->body.len, digest);
	memcpy(claims.digest, digest, sizeof(claims.digest));
	peer_token_format(str_from(asked->key, asked->key_len), &request, &claims, &token);
	asked->token = check_strdup(buf_text(&token));
	return !lines.failed && !token.failed &&
	       http_headers_add(asked->headers, STR(PEER_HEADER), buf_str(&token));
}

bool peer_question_sign(const struct peer_question *question, struct peer_asked *ret,
	struct http_call_spec *spec, struct error *err)
{
	AUTO_FINI(buf) name = buf_limit(PEER_NAME_MAX + 1);
	AUTO_FINI(buf) url = buf_limit((size_t)16 * 1024);
	struct peer_asked asked = { .headers = http_headers_new() };

	cluster_name_of(question->cluster, question->snapshot, question->member, &name);
	buf_puts(&url, question->member->url);
	buf_puts(&url, question->target);
	asked.name = check_strdup(buf_text(&name));
	asked.url = check_strdup(buf_text(&url));
	if (url.failed || name.failed || !keep_key(question, &asked) ||
		(question->range &&
			!http_headers_add(asked.headers, STR("Range"), str_of(question->range))) ||
		!sign(question, &asked)) {
		peer_asked_fini(&asked);
		return error_set(err, ERROR_TOO_LARGE, NULL, "the question is too large to be signed");
	}
	spec->method = question->method;
	spec->url = asked.url;
	spec->headers = asked.headers;
	spec->body = question->body;
	spec->ca_file = question->files.ca;
	spec->cert_file = question->files.cert;
	spec->key_file = question->files.key;
	*ret = asked;
	return true;
}

void peer_asked_fini(struct peer_asked *asked)
{
	explicit_bzero(asked->key, sizeof(asked->key));
	free(asked->url);
	free(asked->token);
	free(asked->name);
	http_headers_free(asked->headers);
	*asked = (struct peer_asked){ 0 };
}

/* Who is it? One who is not the member may only turn us away. */
static bool is_member(const struct peer_question *question, const struct peer_asked *asked, const char *proof)
{
	if (!proof)
		return cluster_peer_signs_not(question->cluster, str_of(question->member->id));
	return peer_answer_is_of(
		str_from(asked->key, asked->key_len), str_of(asked->token), proof, asked->name);
}

bool peer_question_answered(const struct peer_question *question, const struct peer_asked *asked,
	unsigned status, const struct http_headers *headers, bool *ret_again, struct error *err)
{
	struct str id = str_of(question->member->id);

	if (status == 401 && http_headers_find(headers, PEER_REFUSED_HEADER)) {
		*ret_again = true;
		return error_set(err, ERROR_DENIED, NULL, "member %s does not believe this worker", id.at);
	}
	*ret_again = false;
	if (!is_member(question, asked, http_headers_find(headers, PEER_ANSWER_HEADER))) {
		(void)error_set(err, ERROR_INTERNAL, NULL,
			"%s, the address of member %s, answered %u, and not as that member",
			question->member->url, id.at, status);
		cluster_peer_strange(question->cluster, id, err);
		return false;
	}
	cluster_peer_answered(question->cluster, id);
	return true;
}
