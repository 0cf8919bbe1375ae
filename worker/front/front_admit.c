/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_admit - the step ADMIT: is there quota left for this API key, its user and the user's groups.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/check.h"
#include "common/http_server.h"
#include "proto/access.h"
#include "worker/auth/auth.h"
#include "worker/auth/snapshot.h"
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
	static const char *const names[LIMITS_WHO][LIMITS_KINDS] = {
		{ "the quota of this API key, calls a second, is used up",
			"the quota of this API key is used up",
			"the monthly quota of this API key is used up",
			"the monthly quota of bytes of this API key does not allow so many" },
		{ "the quota of this user, calls a second, is used up",
			"the daily quota of this user is used up",
			"the monthly quota of this user is used up",
			"the monthly quota of bytes of this user does not allow so many" },
		{ "the quota of this user's group, calls a second, is used up",
			"the daily quota of this user's group is used up",
			"the monthly quota of this user's group is used up",
			"the monthly quota of bytes of this user's group does not allow so many" },
	};

	return names[info->who][info->kind];
}

#define HELD "what is left of it is held by calls under way, or by a worker that is away"

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
	const char *held = !info->why && info->is_held ? HELD : NULL;
	struct http_response *response;
	struct error err;

	if (held)
		(void)error_set(
			&err, ERROR_BUSY, "TOOMANYREQUESTS", "%s for now: %s", quota_name(info), held);
	else
		(void)error_set(
			&err, ERROR_BUSY, "TOOMANYREQUESTS", "%s", info->why ? info->why : quota_name(info));
	response = oci_reply_status(429, &err);
	http_response_headerf(
		response, "Retry-After", "%" PRId64, info->retry_after_s > 0 ? info->retry_after_s : 1);
	call->refused_why = held ? held : info->why;
	counter_add(&call->loop->counters.quota_refused_total, 1);
	return response;
}

/* Its key, its user, and the groups that its user is in; of more than there is room for the last ones do not count. */
static size_t limits_of_call(const struct front_call *call, struct limits into[ADMISSION_LIMITS_MOST])
{
	const struct identity *identity = call->oci.ask.identity;
	const struct snapshot *snapshot = call->oci.ask.snapshot;
	struct access_who who = {
		.user = identity->user, .groups = identity->groups, .state = snapshot->state
	};
	size_t len = 0;

	if (identity->key)
		len += limits_of(identity->key, &into[len]);
	if (identity->limited)
		len += limits_of(identity->limited, &into[len]);
	for (size_t i = 0; *identity->user && i < snapshot->limited_len && len < ADMISSION_LIMITS_MOST; i++)
		if (access_is_in_group(&who, entity_id(snapshot->limited[i])))
			len += limits_of(snapshot->limited[i], &into[len]);
	return len;
}

enum front_turn front_admit(struct front_call *call)
{
	const struct identity *identity = call->oci.ask.identity;
	struct admission_info info = { 0 };
	struct admission_ask ask = { .loop = call->oci.loop, .wait = &call->admission, .resume = on_grant };
	struct limits limits[ADMISSION_LIMITS_MOST];
	struct front_errand *errand;

	/* Pages are not counted, so that who has used a quota up can still ask how much it was. */
	if (identity->peer || !(call->oci.ask.route.row->flags & OCI_API))
		return FRONT_MORE;
	ask.limits = limits;
	ask.limits_len = limits_of_call(call, limits);
	if (!identity->key && !ask.limits_len)
		return FRONT_MORE;
	errand = xnew(struct front_errand);
	*errand = (struct front_errand){ .call = call, .cancel = wait_cancel };
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
