/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_admit - the step ADMIT: is there quota left for this API key, and for its user.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/check.h"
#include "common/http_server.h"
#include "worker/auth/auth.h"
#include "worker/cluster/usage.h"
#include "worker/front/front_bytes.h"
#include "worker/front/front_step.h"
#include "worker/oci/oci_reply.h"

static void wait_cancel(struct front_errand *errand)
{
	errand->call = NULL;
}

static void on_grant(void *arg)
{
	struct front_errand *errand = arg;
	struct front_call *call = errand->call;

	free(errand);
	if (!call)
		return;
	call->errand = NULL;
	front_again(call);
}

/* What of, as a client is told. */
static const char *quota_name(const struct admission_info *info)
{
	static const char *const names[2][LIMITS_KINDS] = {
		{ "the quota of this API key, calls a second, is used up", "the quota of this API key is used up",
			"the monthly quota of this API key is used up",
			"the monthly quota of bytes of this API key does not allow so many" },
		{ "the quota of this user, calls a second, is used up", "the daily quota of this user is used up",
			"the monthly quota of this user is used up",
			"the monthly quota of bytes of this user does not allow so many" },
	};

	return names[info->of_user][info->kind];
}

/* The fields of draft-ietf-httpapi-ratelimit-headers-03, which clients know: of the quota that is nearest to its
 * end. */
static void say_limits(struct front_call *call, const struct admission_info *info)
{
	struct http_request *request = call->oci.request;
	char text[24];

	if (!info->limit)
		return;
	(void)snprintf(text, sizeof(text), "%" PRIu64, info->limit);
	http_request_reply_header(request, "RateLimit-Limit", text);
	(void)snprintf(text, sizeof(text), "%" PRIu64, info->remaining);
	http_request_reply_header(request, "RateLimit-Remaining", text);
	(void)snprintf(text, sizeof(text), "%" PRId64, info->reset_s);
	http_request_reply_header(request, "RateLimit-Reset", text);
}

struct http_response *front_refusal(struct front_call *call, const struct admission_info *info)
{
	struct http_response *response;
	struct error err;

	(void)error_set(
		&err, ERROR_BUSY, "TOOMANYREQUESTS", "%s", info->why ? info->why : quota_name(info));
	response = oci_reply_status(429, &err);
	http_response_headerf(
		response, "Retry-After", "%" PRId64, info->retry_after_s > 0 ? info->retry_after_s : 1);
	call->refused_why = info->why;
	counter_add(&call->loop->counters.quota_refused_total, 1);
	return response;
}

enum front_turn front_admit(struct front_call *call)
{
	const struct identity *identity = call->oci.ask.identity;
	struct admission_info info = { 0 };
	struct admission_ask ask = { .loop = call->oci.loop, .wait = &call->admission, .resume = on_grant };
	struct front_errand *errand;

	/* Pages are not counted, so that who has used a quota up can still ask how much it was. */
	if (identity->peer || (!identity->key && !identity->limited) ||
		!(call->oci.ask.route.row->flags & OCI_API))
		return FRONT_MORE;
	errand = xnew(struct front_errand);
	*errand = (struct front_errand){ .call = call, .cancel = wait_cancel };
	ask.apikey = identity->key;
	ask.user = identity->limited;
	front_bytes_begin(call, &ask);
	ask.arg = errand;
	switch (usage_admit(call->loop->front->usage, &ask, &info)) {
	case ADMIT:
		free(errand);
		call->admitted = true;
		call->granted = info.granted;
		call->granted_month = info.granted_month;
		memcpy(call->day, info.day, sizeof(call->day));
		say_limits(call, &info);
		return FRONT_MORE;
	case WAIT:
		call->errand = errand;
		return FRONT_WAIT;
	case REFUSE:
		break;
	}
	free(errand);
	say_limits(call, &info);
	http_request_reply_instead(call->oci.request, front_refusal(call, &info));
	return FRONT_WAIT;
}
