/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route - one table of all endpoints, and the road of a request through it:
 *
 *     guard --> find the row --> who is asking? --> may they? --> inline, job or feed
 *                                  `-- a password that is not remembered: verified first
 *
 * A body is read only when it is known who sends it.
 */
#include <stdlib.h>

#include "common/check.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/guard.h"
#include "leader/api/room.h"
#include "leader/api/system.h"
#include "leader/feed.h"
#include "leader/lane.h"
#include "leader/waiting.h"

#define ADMIN_BODY_MAX (2 * (size_t)ENTITY_BYTES_MAX)
#define VERIFY_MAGIC   MAGIC('V', 'R', 'F', 'Y')
#define PARKED_MAGIC   MAGIC('P', 'R', 'K', 'D')
/* A report that is longer is no beat: it is parsed in its lane. */
#define BEAT_MOST (16 * 1024)
#define PARK_MS   500

enum { FOR_ALL = 0, FOR_WORKER = 1, FOR_ADMIN = 2 };

struct route {
	const char *prefix;
	bool below;   /* the path may go on after a '/' */
	unsigned who; /* FOR_... */
	const char *methods;
	struct http_response *(*inline_f)(struct leader *leader);
	api_call_f *job; /* neither of both: the feed */
	size_t body_max;
	bool lane; /* large bodies are worked on one at a time */
	enum entity_kind kind;
};

#define ENTITY_ROUTE(name, kind_)                                                                            \
	{                                                                                                    \
		.prefix = "/api/" name, .below = true, .who = FOR_ADMIN,                                     \
		.methods = "GET, HEAD, POST, PUT, PATCH, DELETE", .job = entities_serve,                     \
		.body_max = ADMIN_BODY_MAX, .kind = kind_                                                    \
	}

static const struct route routes[] = {
	{ .prefix = "/livez", .methods = "GET, HEAD", .inline_f = system_livez },
	{ .prefix = "/readyz", .methods = "GET, HEAD", .inline_f = system_readyz },
	{ .prefix = "/metrics", .methods = "GET, HEAD", .inline_f = system_metrics },
	{ .prefix = "/api/cluster/state", .who = FOR_WORKER | FOR_ADMIN, .methods = "GET, HEAD" },
	{ .prefix = "/api/cluster/quotas",
		.who = FOR_WORKER,
		.methods = "PUT",
		.job = cluster_report,
		.body_max = USAGE_BYTES_MAX,
		.lane = true },
	{ .prefix = "/api/cluster/members",
		.below = true,
		.who = FOR_ADMIN,
		.methods = "GET, HEAD, DELETE",
		.job = cluster_members },
	{ .prefix = "/api/usage", .who = FOR_ADMIN, .methods = "GET, HEAD", .job = usage_serve },
	ENTITY_ROUTE("user", ENTITY_USER),
	ENTITY_ROUTE("users", ENTITY_USER),
	ENTITY_ROUTE("apikey", ENTITY_APIKEY),
	ENTITY_ROUTE("apikeys", ENTITY_APIKEY),
	ENTITY_ROUTE("policy", ENTITY_POLICY),
	ENTITY_ROUTE("policies", ENTITY_POLICY),
	ENTITY_ROUTE("settings", ENTITY_SETTINGS),
	ENTITY_ROUTE("worker", ENTITY_WORKER),
	ENTITY_ROUTE("workers", ENTITY_WORKER),
	ENTITY_ROUTE("ring", ENTITY_RING),
	ENTITY_ROUTE("rings", ENTITY_RING),
};

static bool path_matches(const struct route *route, struct str path, struct str *ret_rest)
{
	struct str rest = path;

	if (!str_skip(&rest, route->prefix))
		return false;
	if (rest.len && (!route->below || !str_skip(&rest, "/")))
		return false;
	*ret_rest = rest;
	return true;
}

static const struct route *find_route(struct str path, struct str *ret_rest)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if (path_matches(&routes[i], path, ret_rest))
			return &routes[i];
	return NULL;
}

/* May they? */

static struct http_response *refuse(const struct route *route, const struct login_who *who)
{
	struct http_response *response;

	if (who->role == LOGIN_WORKER || *who->user)
		return api_error(403, "denied",
			route->who == FOR_WORKER
				? "only workers may do this, with CLUSTER_LEADER_CLIENT_ID and "
				  "CLUSTER_LEADER_CLIENT_SECRET or a credential of their own"
				: "only admins may do this");
	response = api_error(
		401, "unauthorized", "authentication is needed: a user and password, or an API key");
	http_response_header(response, "WWW-Authenticate", "Basic realm=\"zot-leader\"");
	return response;
}

static bool may(const struct route *route, const struct login_who *who)
{
	switch (who->role) {
	case LOGIN_NOBODY:
		return route->who == FOR_ALL;
	case LOGIN_WORKER:
		return route->who == FOR_ALL || (route->who & FOR_WORKER);
	case LOGIN_ADMIN:
		return route->who == FOR_ALL || (route->who & FOR_ADMIN);
	}
	return false;
}

/* Jobs. */

struct job {
	struct leader *leader;
	const struct route *route;
	struct login_who who;
	struct room_held room;
	struct lane_place place;
};

static void job_free(void *context)
{
	struct job *job = context;

	room_leave(&job->room);
	lane_leave(&job->place);
	free(job);
}

static void work(void *arg)
{
	struct endpoint_call *http = arg;
	struct job *job = http->context;
	struct api_call call = { .leader = job->leader,
		.who = job->who,
		.http = http,
		.in_lane = job->place.lane,
		.kind = job->route->kind };
	struct http_response *response;

	(void)path_matches(job->route, http->path, &call.rest);
	response = job->route->job(&call);
	if (response)
		endpoint_reply(http, response);
}

static void job_run(struct endpoint_call *http)
{
	struct job *job = http->context;

	if (job->place.lane)
		lane_do(&job->place, work, http);
	else
		work(http);
}

static struct http_response *busy(const char *why)
{
	struct http_response *response = api_error(503, "busy", "%s", why);

	http_response_header(response, "Retry-After", "1");
	return response;
}

/* A worker is known by its own credential, or by what it says before its body is read. */
static bool take_place(struct job *job, const struct http_request *request)
{
	const char *said = http_request_header(request, "Zot-Worker-Name");
	int64_t length = http_request_length(request);

	if (!job->route->lane || (length >= 0 && length <= BEAT_MOST))
		return true;
	return lane_take(job->leader->counts, str_of(*job->who.worker || !said ? job->who.worker : said),
		LANE_LONG, &job->place);
}

static bool try_job(struct leader *leader, const struct route *route, struct http_request *request,
	const struct login_who *who)
{
	struct job *job = xnew(struct job);

	*job = (struct job){ .leader = leader, .route = route, .who = *who };
	if (!take_place(job, request) ||
		!room_take(&job->room, job->who.worker, http_request_length(request), route->body_max)) {
		job_free(job);
		return false;
	}
	endpoint_start_job(request, leader->pool, route->body_max, job_run, api_error_of, job, job_free);
	return true;
}

/* Its body waits unread where there is no room for it, so whoever comes again at once costs nothing
 * meanwhile. */
struct parked {
	struct waiting waiting; /* first */
	uint32_t magic;
	struct leader *leader;
	const struct route *route;
	struct http_request *request;
	struct login_who who;
	struct loop_timer timer;
};

static void parked_free(struct parked *parked)
{
	loop_timer_stop(parked->leader->loop, &parked->timer);
	parked->magic = 0;
	free(parked);
}

static void parked_gone(struct waiting *waiting)
{
	parked_free(OBJ_CAST(parked, PARKED_MAGIC, (void *)waiting));
}

static void on_parked(void *arg)
{
	struct parked *parked = OBJ_CAST(parked, PARKED_MAGIC, arg);

	http_request_set_context(parked->request, NULL);
	if (!try_job(parked->leader, parked->route, parked->request, &parked->who))
		http_request_reply(parked->request, busy("too many large bodies are on their way"));
	parked_free(parked);
}

static void start_job(struct leader *leader, const struct route *route, struct http_request *request,
	const struct login_who *who)
{
	struct parked *parked;

	if (try_job(leader, route, request, who))
		return;
	parked = xnew(struct parked);
	*parked = (struct parked){ .waiting = { parked_gone },
		.magic = PARKED_MAGIC,
		.leader = leader,
		.route = route,
		.request = request,
		.who = *who };
	http_request_set_context(request, parked);
	loop_timer_start(leader->loop, &parked->timer, PARK_MS, on_parked, parked);
}

/* The request. */

static void admit(struct leader *leader, const struct route *route, struct http_request *request,
	const struct login_who *who)
{
	if (!may(route, who))
		http_request_reply(request, refuse(route, who));
	else if (route->inline_f)
		http_request_reply(request, route->inline_f(leader));
	else if (route->job)
		start_job(leader, route, request, who);
	else
		feed_serve(leader->feed, request, who);
}

/* A password is being verified. */
struct verify {
	struct waiting waiting; /* first */
	uint32_t magic;
	struct leader *leader;
	const struct route *route;
	struct http_request *request;
	struct login_wait *wait;
};

static void verify_free(struct verify *verify)
{
	verify->magic = 0;
	free(verify);
}

static void verify_gone(struct waiting *waiting)
{
	struct verify *verify = OBJ_CAST(verify, VERIFY_MAGIC, (void *)waiting);

	login_cancel(verify->wait);
	verify_free(verify);
}

static struct http_response *later(unsigned retry_after_s)
{
	struct http_response *response = api_error(429, "too_many_requests",
		"too many logins failed from here or for this user, or too many are being verified");

	http_response_headerf(response, "Retry-After", "%u", retry_after_s);
	return response;
}

static void on_verified(void *arg, const struct login_who *who, unsigned retry_after_s)
{
	struct verify *verify = OBJ_CAST(verify, VERIFY_MAGIC, arg);

	http_request_set_context(verify->request, NULL);
	if (retry_after_s)
		http_request_reply(verify->request, later(retry_after_s));
	else
		admit(verify->leader, verify->route, verify->request, who);
	verify_free(verify);
}

static void start_verify(struct leader *leader, const struct route *route, struct http_request *request,
	const struct login_ask *ask)
{
	struct verify *verify = xnew(struct verify);

	*verify = (struct verify){ .waiting = { verify_gone },
		.magic = VERIFY_MAGIC,
		.leader = leader,
		.route = route,
		.request = request };
	http_request_set_context(request, verify);
	verify->wait = login_start(leader->login, ask, leader->loop, on_verified, verify);
}

static void ask_who(struct leader *leader, const struct route *route, struct http_request *request)
{
	AUTO(state) *state = leader_state(leader);
	struct login_ask ask = { .state = state,
		.header = http_request_header(request, "Authorization"),
		.client = http_request_ip(request) };
	struct login_who who = { .role = LOGIN_NOBODY };

	if (route->who == FOR_ALL || login_try(leader->login, &ask, &who))
		admit(leader, route, request, &who);
	else
		start_verify(leader, route, request, &ask);
}

static void on_request(void *app, struct http_request *request)
{
	struct leader *leader = app;
	struct str rest = STR_NONE;
	const struct route *route = find_route(http_request_path(request), &rest);
	struct http_response *refused = guard_refuse(request);

	if (refused)
		http_request_reply(request, refused);
	else if (!route)
		http_request_reply(request, api_error(404, "unknown", "there is no such endpoint"));
	else if (!api_has_method(route->methods, http_request_method(request)))
		http_request_reply(request, api_method_not_allowed(route->methods));
	else
		ask_who(leader, route, request);
}

static void on_done(void *app, struct http_request *request)
{
	struct leader *leader = app;
	struct waiting *waiting = http_request_context(request);
	unsigned status = http_request_status(request);

	if (waiting)
		waiting->on_gone(waiting);
	counter_add(&leader->counters.requests_total, 1);
	if (status == 401 || status == 403)
		counter_add(&leader->counters.refused_total, 1);
	if (log_enabled(LOG_DEBUG))
		log_debug("request.done", "method=%s path=%s status=%u",
			http_method_name(http_request_method(request)), log_quote(http_request_path(request)),
			status);
}

/* Refused before anybody asked us. */
static struct http_response *refuse_early(void *app, unsigned status, const char *why)
{
	(void)app;
	if (status != 503)
		return api_error(status,
			status == 403   ? "denied"
			: status == 413 ? "too_large"
					: "invalid",
			"%s", why);
	struct error err;
	(void)error_set(&err, ERROR_BUSY, NULL, "%s", why);
	return api_error_of(&err);
}

struct http_app api_app(struct leader *leader)
{
	return (struct http_app){
		.app = leader, .on_request = on_request, .on_done = on_done, .refuse = refuse_early
	};
}
