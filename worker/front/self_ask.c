/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/self_ask.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/json.h"
#include "worker/cluster/cluster.h"
#include "worker/cluster/self_call.h"
#include "worker/front/front_step.h"
#include "worker/oci/oci_reply.h"

/* Answers. */

void self_reply_error(struct front_call *call, unsigned status, enum error_kind kind, const char *text)
{
	struct error err;

	(void)error_set(&err, kind, NULL, "%s", text);
	http_request_reply(call->oci.request, oci_reply_status(status, &err));
}

/* A minute is what changes are counted in. */
void self_reply_often(struct front_call *call, const char *text)
{
	struct http_response *response;
	struct error err;

	(void)error_set(&err, ERROR_BUSY, "TOOMANYREQUESTS", "%s", text);
	response = oci_reply_status(429, &err);
	http_response_header(response, "Retry-After", "60");
	http_request_reply(call->oci.request, response);
}

static void reply_away(struct front_call *call)
{
	struct error err;

	(void)error_set(&err, ERROR_UNAVAILABLE, NULL,
		"no leader answers; where this was a change it may have been made: look before you repeat "
		"it");
	http_request_reply(call->oci.request, oci_reply_later(2, &err));
}

static void copy_message(struct str body, char into[ERROR_TEXT_MAX])
{
	AUTO(json_doc) *doc = NULL;
	struct str message;

	if (!json_parse(body, &doc, NULL))
		return;
	message = json_str(json_find(json_find(json_root(doc), "error"), "message"));
	(void)snprintf(into, ERROR_TEXT_MAX, "%.*s", STR_ARGS(message));
}

/* What the leader refused the user; what it refused us is none of his business. */
void self_reply_refused(struct front_call *call, unsigned status, struct str body)
{
	static const struct {
		unsigned status;
		enum error_kind kind;
	} told[] = { { 400, ERROR_INVALID }, { 403, ERROR_DENIED }, { 409, ERROR_CONFLICT },
		{ 413, ERROR_TOO_LARGE } };
	char text[ERROR_TEXT_MAX] = "the leader refuses it";

	copy_message(body, text);
	if (status == 429) {
		self_reply_often(call, text);
		return;
	}
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		if (told[i].status == status) {
			self_reply_error(call, status, told[i].kind, text);
			return;
		}
	}
	reply_away(call);
}

/* A question to the leaders. */

struct asking {
	struct front_errand errand; /* first */
	struct self_call *self;
	self_answered_f *answered;
};

static void asking_cancel(struct front_errand *errand)
{
	struct asking *asking = (struct asking *)errand;

	self_call_cancel(asking->self);
	free(asking);
}

static void on_answer(void *arg, unsigned status, struct str body)
{
	struct asking *asking = arg;
	struct front_call *call = asking->errand.call;
	self_answered_f *answered = asking->answered;

	call->errand = NULL;
	free(asking);
	answered(call, status, body);
}

void self_ask_leaders(
	struct front_call *call, const struct self_question *question, self_answered_f *answered)
{
	struct asking *asking = xnew(struct asking);
	const struct self_ask ask = { .cluster = call->loop->front->cluster,
		.loop = call->oci.loop,
		.client = call->oci.client,
		.method = question->method,
		.path = question->path,
		.body = question->body,
		.made_once = question->made_once };

	asking->errand = (struct front_errand){ .call = call, .cancel = asking_cancel };
	asking->answered = answered;
	call->errand = &asking->errand;
	asking->self = self_call_start(&ask, on_answer, asking);
}
