/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_admit - the step ADMIT: is there quota left for this API key.
 */
#include <inttypes.h>
#include <string.h>

#include "common/check.h"
#include "common/http_server.h"
#include "worker/auth/auth.h"
#include "worker/cluster/usage.h"
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

static void reply_refused(struct front_call *call, const struct admission_info *info)
{
	struct http_response *response;
	struct error err;

	(void)error_set(&err, ERROR_BUSY, "TOOMANYREQUESTS", "%s",
		info->why ? info->why : "the quota of this API key is used up");
	response = oci_reply_status(429, &err);
	http_response_headerf(
		response, "Retry-After", "%" PRId64, info->retry_after_s > 0 ? info->retry_after_s : 1);
	http_response_headerf(response, "RateLimit-Limit", "%" PRIu64, info->limit);
	http_response_headerf(response, "RateLimit-Remaining", "%" PRIu64, info->remaining);
	http_response_headerf(response, "RateLimit-Reset", "%" PRId64, info->reset_s);
	http_request_reply(call->oci.request, response);
}

enum front_turn front_admit(struct front_call *call)
{
	const struct identity *identity = call->oci.ask.identity;
	struct admission_info info = { 0 };
	struct admission_ask ask = { .loop = call->oci.loop, .wait = &call->admission, .resume = on_grant };
	struct front_errand *errand;

	/* Pages are not counted, so that who has used a quota up can still ask how much it was. */
	if (identity->peer || !identity->key || !(call->oci.ask.route.row->flags & OCI_API))
		return FRONT_MORE;
	errand = xnew(struct front_errand);
	*errand = (struct front_errand){ .call = call, .cancel = wait_cancel };
	ask.apikey = identity->key;
	ask.arg = errand;
	switch (usage_admit(call->loop->front->usage, &ask, &info)) {
	case ADMIT:
		free(errand);
		call->admitted = true;
		call->granted = info.granted;
		memcpy(call->day, info.day, sizeof(call->day));
		return FRONT_MORE;
	case WAIT:
		call->errand = errand;
		return FRONT_WAIT;
	case REFUSE:
		break;
	}
	free(errand);
	call->refused_why = info.why;
	counter_add(&call->loop->counters.quota_refused_total, 1);
	reply_refused(call, &info);
	return FRONT_WAIT;
}
