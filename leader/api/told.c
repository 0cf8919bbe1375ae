/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/api/told.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/http_server.h"
#include "common/log.h"
#include "leader/api/cookie.h"
#include "leader/audit.h"
#include "leader/refusals.h"
#include "proto/login_refusal.h"

#define BY_SIZE 1280 /* two quoted texts and an address */

static const char *why_not_allowed(const struct api_call *call)
{
	if (!cookie_allows(call))
		return "no_csrf";
	if (call->who.role == LOGIN_WORKER)
		return "a_worker";
	if (call->who.role == LOGIN_ADMIN)
		return "not_a_worker";
	if (call->who.role != LOGIN_NOBODY)
		return call->who.role == LOGIN_READER ? "a_reader" : "a_key_manager";
	return *call->who.apikey ? "apikey_has_scopes" : "not_admin";
}

static void known(const struct api_call *call, struct login_refusal *ret)
{
	const struct login_who *who = &call->who;

	*ret = (struct login_refusal){ .why = why_not_allowed(call) };
	tried_name(str_of(*who->worker ? who->worker : who->user), true, ret->user);
	(void)snprintf(ret->apikey, sizeof(ret->apikey), "%s", who->apikey);
}

static void explain(
	const struct api_call *call, const char *header, unsigned status, struct login_refusal *ret)
{
	AUTO(state) *state = leader_state(call->leader);
	struct login_ask ask = { .state = state, .header = header };

	login_explain(call->leader->login, &ask, ret);
	if (!header && session_in_cookies(http_request_header(call->request, "Cookie")).len)
		ret->why = "session_over";
	if (status == 429)
		ret->why = "logins_limit";
}

void told_refused(const struct api_call *call, unsigned status)
{
	told_refused_login(call, http_request_header(call->request, "Authorization"), status);
}

void told_refused_login(const struct api_call *call, const char *header, unsigned status)
{
	const struct ip *client = &call->from;
	bool is_first = refusals_add(call->leader->refused, client, status, clock_ms());
	bool is_said = few_each_take(call->leader->refusals, client, clock_ms());
	struct login_refusal refusal;
	char from[INET6_ADDRSTRLEN];

	if (!is_first && !is_said)
		return;
	if (status == 403)
		known(call, &refusal);
	else
		explain(call, header, status, &refusal);
	if (is_first)
		refusals_explain(call->leader->refused, client, &refusal);
	if (!is_said)
		return;
	ip_format(client, from);
	log_warn("request.refused", "status=%u reason=%s user=%s apikey=%s from=%s method=%s path=%s", status,
		refusal.why, log_quote(str_of(refusal.user)), log_quote(str_of(refusal.apikey)), from,
		http_method_name(http_request_method(call->request)),
		log_quote(http_request_path(call->request)));
}

struct ledger_audit told_audit(const struct api_job *job, const char *how)
{
	struct ledger_audit audit = audit_event("", "", how, "");

	audit.user = job->who.user;
	audit.apikey = job->who.apikey;
	audit.from = job->from_text;
	return audit;
}

const char *told_by(const struct api_job *job)
{
	static _Thread_local char by[BY_SIZE];

	(void)snprintf(by, sizeof(by), " by=%s apikey=%s from=%s", log_quote(str_of(job->who.user)),
		log_quote(str_of(job->who.apikey)), job->from_text);
	return by;
}

void told_exported(const struct api_call *call, uint64_t revision)
{
	char from[INET6_ADDRSTRLEN];

	ip_format(&call->from, from);
	log_info("state.exported", "revision=%" PRIu64 " by=%s apikey=%s from=%s", revision,
		log_quote(str_of(call->who.user)), log_quote(str_of(call->who.apikey)), from);
}
