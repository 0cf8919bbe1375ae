/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/front_refused.h"

#include <inttypes.h>

#include "common/clock.h"
#include "common/few_each.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/loop.h"
#include "proto/login_refusal.h"
#include "proto/peer_token.h"
#include "worker/auth/auth.h"
#include "worker/auth/snapshot.h"
#include "worker/front/front_step.h"
#include "worker/oci/oci_denied.h"
#include "worker/oci/oci_may.h"
#include "worker/registry/repository_limits.h"

#define FEW_EACH 10
#define FEW_ALL  100
#define SPAN_MS  60000
#define MORE_MAX 2048

struct few_each *front_refused_few(void)
{
	return few_each_new(&(struct few_each_terms){ .each = FEW_EACH, .all = FEW_ALL, .span_ms = SPAN_MS });
}

/* What a line says beside the request itself. */
struct telling {
	const char *reason;
	char user[TRIED_NAME_SIZE];
	struct buf more; /* " key=value" */
};

static void put_quoted(struct telling *telling, const char *key, const char *value)
{
	if (*value)
		buf_format(&telling->more, " %s=%s", key, log_quote(str_of(value)));
}

static void tell_login(const struct front_call *call, struct telling *telling)
{
	struct login_refusal refusal;

	auth_explain(call->loop->front->auth, call->oci.ask.snapshot, call->oci.request, &refusal);
	telling->reason = refusal.why;
	memcpy(telling->user, refusal.user, sizeof(telling->user));
	put_quoted(telling, "apikey", refusal.apikey);
}

/* The repository's owner has said so; which entity it is, is known here too. False: nobody did. */
static bool tell_repository(const struct front_call *call, struct telling *telling)
{
	struct str header = http_request_replied_header(call->oci.request, OCI_REFUSED_HEADER);
	enum registry_limit limit = registry_limit_parse(header);
	struct str name = name_str(&call->oci.ask.route.name);
	const struct entity *limits = limit ? snapshot_limits(call->oci.ask.snapshot, name) : NULL;
	AUTO_STR *id = limits ? str_dup(entity_id(limits)) : NULL;

	if (!limit)
		return false;
	telling->reason = registry_limit_name(limit);
	buf_format(&telling->more, " repository=%.*s", STR_ARGS(name));
	put_quoted(telling, "entity", id ? id : "");
	return true;
}

static void tell_decision(const struct oci_ask *ask, struct telling *telling)
{
	struct access_decision decision;
	enum action action;

	if (!oci_may_refused(ask, &action, &decision)) {
		telling->reason = ask->identity->anonymous             ? "no_login"
				  : ask->route.row->flags & OCI_SCRAPE ? "metrics"
								       : "other";
		return;
	}
	telling->reason = access_by_name(decision.by);
	buf_format(&telling->more, " repository=%.*s action=%s", STR_ARGS(name_str(&ask->route.name)),
		action_name(action));
	put_quoted(telling, "policy", decision.policy);
	if (*decision.policy)
		buf_puts(&telling->more, decision.of_file ? " of=file" : " of=leader");
}

static void tell_denial(const struct front_call *call, struct telling *telling)
{
	if (!tell_repository(call, telling))
		tell_decision(&call->oci.ask, telling);
}

static void tell_limit(const struct front_call *call, struct telling *telling)
{
	telling->reason = call->step == FRONT_AT_limit   ? "rate_limit"
			  : call->step == FRONT_AT_admit ? "quota"
			  : call->oci.ask.identity       ? "uploads_limit"
							 : "logins_limit";
	put_quoted(telling, "why", call->refused_why ? call->refused_why : "");
}

static void tell_identity(const struct identity *identity, struct telling *telling)
{
	tried_name(str_of(identity->user), true, telling->user);
	put_quoted(telling, "apikey", identity->apikey);
}

static void tell(const struct front_call *call, unsigned status, struct telling *telling)
{
	const struct identity *identity = call->oci.ask.identity;

	if (identity)
		tell_identity(identity, telling);
	if (status == 429)
		tell_limit(call, telling);
	else if (identity)
		tell_denial(call, telling);
	else if (status == 403)
		telling->reason = "another_site";
	else
		tell_login(call, telling);
}

/* It has no login: most clients ask so first. */
static bool is_challenge(const struct front_call *call, unsigned status)
{
	return status == 401 && !http_request_header(call->oci.request, "Authorization") &&
	       !http_request_client_cert(call->oci.request).len;
}

static bool is_told_elsewhere(const struct front_call *call)
{
	const struct identity *identity = call->oci.ask.identity;

	return (identity && identity->peer) || http_request_header(call->oci.request, PEER_HEADER);
}

void front_refused(const struct front_call *call, unsigned status)
{
	const struct front *front = call->loop->front;
	bool challenge = is_challenge(call, status);
	struct telling telling = { .more = buf_limit(MORE_MAX) };
	char from[INET6_ADDRSTRLEN];

	if (is_told_elsewhere(call) || !few_each_take(challenge ? front->challenges : front->refusals,
					       &call->oci.ask.client, clock_ms()))
		return;
	tell(call, status, &telling);
	ip_format(&call->oci.ask.client, from);
	log_line(challenge ? LOG_INFO : LOG_WARN, "request.refused",
		"status=%u reason=%s user=%s from=%s method=%s path=%s id=%" PRIu64 "%s", status,
		telling.reason, log_quote(str_of(telling.user)), from, http_method_name(call->oci.ask.method),
		log_quote(http_request_path(call->oci.request)), http_request_id(call->oci.request),
		buf_text(&telling.more));
	buf_fini(&telling.more);
}

void front_refused_certificate(void *loop, const struct ip *from, const char *why)
{
	const struct front_loop *own = loop;
	char text[INET6_ADDRSTRLEN];

	loop_assert(own->loop);
	if (!few_each_take(own->front->refusals, from, clock_ms()))
		return;
	ip_format(from, text);
	log_warn("certificate.refused", "from=%s why=%s", text, log_quote(str_of(why)));
}

void front_refused_tell(struct front *front)
{
	uint64_t refusals = few_each_missed(front->refusals, clock_ms());
	uint64_t challenges = few_each_missed(front->challenges, clock_ms());

	if (refusals)
		log_warn("refusals.suppressed", "count=%" PRIu64, refusals);
	if (challenges)
		log_info("challenges.suppressed", "count=%" PRIu64, challenges);
}
