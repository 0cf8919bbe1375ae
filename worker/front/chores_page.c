/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chores_page - GET /zot/chores: what this worker does without being asked. POST: an administrator begins or ends a chore of this worker, which is how it
 * is done where there are no leaders.
 */
#include <stdlib.h>

#include "common/check.h"
#include "common/http_server.h"
#include "common/json.h"
#include "common/log.h"
#include "proto/chore_view.h"
#include "worker/auth/auth.h"
#include "worker/auth/rights.h"
#include "worker/chores/chores.h"
#include "worker/front/front_call.h"
#include "worker/front/pages.h"
#include "worker/oci/oci_reply.h"

#define BODY_BYTES_MAX (256 * 1024)

bool pages_by_admin(const void *arg)
{
	const struct oci_call *call = arg;

	return rights_is_admin(call->ask.snapshot, call->ask.identity);
}

static struct http_response *json_of(unsigned status, struct buf *body)
{
	struct http_response *response = oci_reply_json(status, "application/json", body);

	http_response_header(response, "Cache-Control", "no-store");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	return response;
}

static struct http_response *show(struct chores *chores, unsigned status)
{
	struct usage_chore *rows = xnew_array(struct usage_chore, CHORES_MAX);
	struct buf body = buf_limit(BODY_BYTES_MAX);
	struct json_writer w = json_writer(&body);
	size_t len = chores_rows(chores, rows);

	json_open_object(&w);
	json_key(&w, STR("chores"));
	json_open_array(&w);
	for (size_t i = 0; i < len; i++) {
		chore_view_write(&rows[i], &w);
		usage_chore_fini(&rows[i]);
	}
	json_close_array(&w);
	json_close_object(&w);
	free(rows);
	return json_of(status, &body);
}

static struct http_response *refusal(const struct error *err)
{
	return oci_reply_saying(err->kind == ERROR_CONFLICT  ? 409
				: err->kind == ERROR_UNKNOWN ? 404
				: err->kind == ERROR_INVALID ? 400
							     : 503,
		err);
}

static struct http_response *ask(const struct front_call *call)
{
	struct chores *chores = call->loop->front->chores;
	struct chore_view_order what;
	struct chore_order order;
	struct error err;

	if (!chore_view_order_parse(call->oci.ask.body, &what, &err))
		return refusal(&err);
	order = (struct chore_order){ .stop = what.stop, .dry_run = what.dry_run };
	if (!chores_ask(chores, str_of(what.chore), &order, &err))
		return refusal(&err);
	log_info("chore.asked", "chore=%s action=%s dry_run=%s by=%s", log_quote(str_of(what.chore)),
		what.stop ? "stop" : "start", what.dry_run ? "true" : "false",
		log_quote(str_of(call->oci.ask.identity->user)));
	return show(chores, 202);
}

void pages_chores(void *arg)
{
	struct front_call *call = arg;
	bool is_post = call->oci.ask.method == HTTP_POST;

	http_request_reply(call->oci.request, is_post ? ask(call) : show(call->loop->front->chores, 200));
}
