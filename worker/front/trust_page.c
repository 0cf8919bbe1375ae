/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trust_page - whose signatures of images count: /v2/_zot/ext/cosign (public keys) and /v2/_zot/ext/notation (certificates).
 *
 *     POST               one PEM "PUBLIC KEY"; with ?truststoreType=ca|signingAuthority certificates, PEM or DER. 200 {"id": ...}, as zot but for the body
 *     GET                {"keys": [{"id", "type", "pem"}]}   of this page
 *     DELETE ?id=ID      200; 404: there is none
 *
 *     what it is was found out here --> led: the leaders (the leader's api/self_trust.c)
 *                                   `-> not led: this worker's own (worker/accounts/own_trust.h)
 *
 * Administrators alone. Both changes may be made again. Certificates of time stamps (tsa) are refused: nothing here would look at them.
 */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "proto/trust_key.h"
#include "worker/accounts/own_trust.h"
#include "worker/auth/auth.h"
#include "worker/chores/metadata_chore.h"
#include "worker/cluster/cluster.h"
#include "worker/front/front_step.h"
#include "worker/front/pages.h"
#include "worker/front/self_ask.h"
#include "worker/oci/oci_reply.h"
#include "worker/registry/registry.h"
#include "worker/trust/signers.h"

#define PATH_MAX_BYTES 4096
#define LIST_BYTES_MAX (2 * (size_t)TRUST_KEYS_MOST * TRUST_PEM_MAX)

static void reply_json(struct front_call *call, unsigned status, struct buf *body)
{
	struct http_response *response = oci_reply_json(status, "application/json", body);

	http_response_header(response, "Cache-Control", "no-store");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	http_request_reply(call->oci.request, response);
}

static void reply_id(struct front_call *call, struct str id)
{
	struct buf body = buf_limit(512);
	struct json_writer w = json_writer(&body);

	json_open_object(&w);
	json_put_str(&w, "id", id);
	json_close_object(&w);
	reply_json(call, 200, &body);
}

static void reply_failed(struct front_call *call, const struct error *err)
{
	unsigned status = err->kind == ERROR_CONFLICT ? 409 : err->kind == ERROR_UNKNOWN ? 404 : 0;

	http_request_reply(call->oci.request, status ? oci_reply_status(status, err) : oci_reply_error(err));
}

static bool is_cosign(const struct front_call *call)
{
	return str_ends(http_request_path(call->oci.request), "/cosign");
}

/* ---- the list ---- */

static void write_key(struct json_writer *w, const struct entity *key)
{
	json_open_object(w);
	json_put_str(w, "id", entity_id(key));
	json_put_str(w, "type", str_of(entity_trust(key)->type));
	json_put_str(w, "pem", str_of(entity_trust(key)->pem));
	json_close_object(w);
}

static void list(struct front_call *call)
{
	struct front *front = call->loop->front;
	AUTO(state) *state = front->own_trust ? own_trust_state(front->own_trust)
					      : state_ref(call->oci.ask.snapshot->state);
	struct buf body = buf_limit(LIST_BYTES_MAX);
	struct json_writer w = json_writer(&body);

	json_open_object(&w);
	json_key(&w, STR("keys"));
	json_open_array(&w);
	for (size_t i = 0; i < state_count(state, ENTITY_TRUST); i++) {
		const struct entity *key = state_at(state, ENTITY_TRUST, i);

		if (is_cosign(call) == (trust_key_type(key) == TRUST_COSIGN))
			write_key(&w, key);
	}
	json_close_array(&w);
	json_close_object(&w);
	reply_json(call, 200, &body);
}

/* ---- a change, on the pool ---- */

struct changing {
	struct front_errand errand; /* first. call NULL: the request has ended */
	struct front *front;
	enum trust_type type;
	char *bytes; /* of an upload */
	size_t len;
	struct entity *key; /* that was made of it, or a tombstone */
	bool ok;
	struct error err;
};

static void changing_free(struct changing *changing)
{
	entity_free(changing->key);
	free(changing->bytes);
	free(changing);
}

/* The pool has it still: it is freed when it comes back. */
static void let_go(struct front_errand *errand)
{
	errand->call = NULL;
}

static bool read_upload(struct changing *changing)
{
	AUTO_FINI(buf) pem = buf_limit(TRUST_PEM_MAX);

	return signers_read_upload(changing->type == TRUST_COSIGN, str_from(changing->bytes, changing->len),
		       &pem, &changing->err) &&
	       trust_key_new(changing->type, buf_str(&pem), &changing->key, &changing->err);
}

static bool change_own(struct changing *changing)
{
	struct own_trust *own = changing->front->own_trust;

	if (!own)
		return true;
	return entity_is_deleted(changing->key)
		       ? own_trust_remove(own, entity_id(changing->key), &changing->err)
		       : own_trust_add(own, changing->key, &changing->err);
}

static void run(void *arg)
{
	struct changing *changing = arg;

	changing->ok = (changing->key || read_upload(changing)) && change_own(changing);
}

/* ---- at the leaders ---- */

static void on_answer(struct front_call *call, unsigned status, struct str body)
{
	AUTO(json_doc) *doc = NULL;
	struct str id;

	if (status == 200 && json_parse(body, &doc, NULL) &&
		json_get_str(json_find(json_root(doc), "id"), &id))
		reply_id(call, id);
	else
		self_reply_refused(call, status, body);
}

static void write_body(const struct entity *key, struct buf *into)
{
	struct json_writer w = json_writer(into);

	json_open_object(&w);
	if (!entity_is_deleted(key)) {
		json_put_str(&w, "type", str_of(entity_trust(key)->type));
		json_put_str(&w, "pem", str_of(entity_trust(key)->pem));
	}
	json_close_object(&w);
}

static void ask_leaders(struct front_call *call, const struct entity *key)
{
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);
	AUTO_FINI(buf) body = buf_limit(TRUST_BODY_MAX);
	bool is_gone = entity_is_deleted(key);

	buf_puts(&path, "/api/cluster/self/trust?user=");
	buf_url(&path, str_of(call->oci.ask.identity->user), "");
	if (is_gone) {
		buf_puts(&path, "&id=");
		buf_url(&path, entity_id(key), "");
	}
	write_body(key, &body);
	if (path.failed || body.failed)
		self_reply_error(call, 400, ERROR_INVALID, "the user's name, or the key, is too long");
	else
		self_ask_leaders(call,
			&(struct self_question){ .method = is_gone ? HTTP_DELETE : HTTP_PUT,
				.path = buf_text(&path),
				.body = buf_str(&body),
				.made_once = true },
			on_answer);
}

/* ---- the request ---- */

static void on_done(void *arg)
{
	struct changing *changing = arg;
	struct front_call *call = changing->errand.call;

	if (changing->ok && changing->front->own_trust)
		metadata_chore_wake(changing->front->chores, changing->front->metadata);
	if (call) {
		call->errand = NULL;
		if (!changing->ok)
			reply_failed(call, &changing->err);
		else if (changing->front->own_trust)
			reply_id(call, entity_id(changing->key));
		else
			ask_leaders(call, changing->key);
	}
	changing_free(changing);
}

/* Takes the entity. */
static void start(struct front_call *call, enum trust_type type, struct entity *gone)
{
	struct changing *changing = xnew(struct changing);
	struct str body = call->oci.ask.body;
	struct error err;

	*changing = (struct changing){ .errand = { .call = call, .cancel = let_go },
		.front = call->loop->front,
		.type = type,
		.bytes = xnew_array(char, body.len + 1),
		.len = body.len,
		.key = gone };
	if (body.len)
		memcpy(changing->bytes, body.at, body.len);
	call->errand = &changing->errand;
	if (pool_submit_then(call->loop->front->registry->pool, run, call->oci.loop, on_done, changing))
		return;
	call->errand = NULL;
	changing_free(changing);
	(void)error_set(&err, ERROR_BUSY, NULL, "too many requests wait for a thread");
	http_request_reply(call->oci.request, oci_reply_later(1, &err));
}

/* False: it was refused. */
static bool take_type(struct front_call *call, enum trust_type *ret)
{
	AUTO_FINI(buf) type = buf_limit(64);
	unsigned given = http_query_get(call->oci.ask.query, "truststoreType", &type);

	*ret = is_cosign(call) ? TRUST_COSIGN : TRUST_CA;
	if (!given || is_cosign(call))
		return true;
	if (given == 1 && trust_type_parse(buf_str(&type), ret) && *ret != TRUST_COSIGN)
		return true;
	self_reply_error(call, 400, ERROR_INVALID,
		str_is(buf_str(&type), "tsa")
			? "truststoreType: tsa is of no use here: time stamps are not looked at"
			: "truststoreType: is ca or signingAuthority, once");
	return false;
}

static void upload(struct front_call *call)
{
	enum trust_type type;

	if (!take_type(call, &type))
		return;
	if (call->oci.ask.body.len)
		start(call, type, NULL);
	else
		self_reply_error(call, 400, ERROR_INVALID,
			type == TRUST_COSIGN ? "the body is empty: it is a public key as PEM"
					     : "the body is empty: it is certificates, as PEM or DER");
}

static void delete_one(struct front_call *call)
{
	AUTO_FINI(buf) id = buf_limit(ENTITY_ID_MAX + 1);
	struct error err;

	if (http_query_get(call->oci.ask.query, "id", &id) != 1 || !trust_key_check_id(buf_str(&id), &err) ||
		str_starts(buf_str(&id), "cosign-") != is_cosign(call))
		self_reply_error(call, 400, ERROR_INVALID, "id: needed once, as GET of this path lists it");
	else
		start(call, TRUST_COSIGN, entity_new_deleted(ENTITY_TRUST, buf_str(&id), 0));
}

void pages_trust(void *arg)
{
	struct front_call *call = arg;

	if (call->oci.ask.method == HTTP_POST)
		upload(call);
	else if (call->oci.ask.method == HTTP_DELETE)
		delete_one(call);
	else
		list(call);
}
