/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route - one table of all endpoints (common/route.h), and the road of a request through it:
 *
 *     guard --> find the row --> who is asking? --> may they? --> inline, job or stream
 *                                  `-- a password that is not remembered: verified first
 *
 * A body is read only when it is known who sends it.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/least.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "common/proxies.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/cookie.h"
#include "leader/api/entity_bulk.h"
#include "leader/api/entity_list.h"
#include "leader/api/guard.h"
#include "leader/api/import.h"
#include "leader/api/room.h"
#include "leader/api/told.h"
#include "leader/fellows.h"
#include "leader/follow.h"
#include "leader/lane.h"
#include "leader/local.h"
#include "leader/waiting.h"
#include "proto/chore_view.h"
#include "proto/own_key.h"
#include "proto/trust_key.h"

#define ADMIN_BODY_MAX (2 * (size_t)ENTITY_BYTES_MAX)
#define SELF_BODY_MAX  CHORE_ORDER_BODY_MAX /* of what is all in the query */
#define DRAIN_BODY_MAX CHORE_ORDER_BODY_MAX /* of a drain: it says nothing */
#define VERIFY_MAGIC   MAGIC('V', 'R', 'F', 'Y')
#define PARKED_MAGIC   MAGIC('P', 'R', 'K', 'D')
/* A report that is longer is no beat, a bulk that is longer is no small write: they have their lanes. */
#define BEAT_MOST    (16 * 1024)
#define PARK_MS      500
#define LONG_WAIT_MS (10 * 60 * 1000)
#define NAME_SAID    100 /* bytes of a parameter that nobody knows */

/* Where a job runs: on any thread of the pool, or, where its body may be large, in the lane of those; a list that looks at all there is, in
 * the lane of such lists; a large bulk, which may wait for another one or for an import, in the lane of bulks; an import, alone. */
enum { PLACE_POOL, PLACE_LANE, PLACE_WALK, PLACE_BULK, PLACE_IMPORT };

/* Who may. */

static bool by_worker(const void *arg)
{
	return ((const struct api_call *)arg)->who.role == LOGIN_WORKER;
}

static bool by_admin(const void *arg)
{
	return ((const struct api_call *)arg)->who.role == LOGIN_ADMIN;
}

static bool is_reading(const struct api_call *call)
{
	return ROUTE_READS & 1u << http_request_method(call->request);
}

/* And admins change what is there. */
static bool by_reader(const void *arg)
{
	const struct api_call *call = arg;

	return by_admin(arg) || (call->who.role == LOGIN_READER && is_reading(call));
}

/* Which of them is decided where they are found (leader/rights.h). */
static bool by_key_manager(const void *arg)
{
	const struct api_call *call = arg;

	return by_reader(arg) ||
	       (call->who.keys && (is_reading(call) || call->route->what == (int)ENTITY_APIKEY));
}

/* Administrators and readers get it without secrets. */
static bool by_worker_or_reader(const void *arg)
{
	return by_worker(arg) || by_reader(arg);
}

/* A worker about itself: api/drain.c looks at that. */
static bool by_member_or_reader(const void *arg)
{
	const struct api_call *call = arg;

	return by_reader(arg) || (by_worker(arg) && http_request_method(call->request) == HTTP_POST);
}

/* Or a command on this machine. */
static bool by_admin_or_local(const void *arg)
{
	const struct api_call *call = arg;

	return by_admin(arg) ||
	       local_is(&call->leader->local, http_request_header(call->request, "Authorization"));
}

#define CHANGES       (ROUTE_M(POST) | ROUTE_M(PUT) | ROUTE_M(PATCH) | ROUTE_M(DELETE))
#define OF_KEYS(kind) ((kind) == ENTITY_USER || (kind) == ENTITY_APIKEY)
#define FOR(kind)     (OF_KEYS(kind) ? by_key_manager : by_reader)
#define BULK_ROUTE(name, kind_, flags_)                                                                      \
	{                                                                                                    \
		.operation = "bulk", .about = about_bulk, .flags = flags_, .path = "/api/" name "/_bulk",    \
		.methods = ROUTE_READS | CHANGES, .kind = ROUTE_JOB, .job_f = entity_bulk,                   \
		.place = PLACE_BULK, .authorise = FOR(kind_), .body_max = BULK_BYTES, .what = kind_,         \
		.parameters = none                                                                           \
	}
#define TEMPLATE_ROUTE(name, kind_, flags_)                                                                  \
	{                                                                                                    \
		.operation = "template", .about = about_template, .flags = flags_,                           \
		.path = "/api/" name "/_template", .methods = ROUTE_READS, .kind = ROUTE_JOB,                \
		.job_f = entity_template, .authorise = FOR(kind_), .what = kind_, .parameters = none         \
	}
#define ENTITY_ROUTE(name, kind_, flags_)                                                                    \
	{                                                                                                    \
		.operation = "entities", .about = about_entities, .flags = flags_, .path = "/api/" name "*", \
		.methods = ROUTE_READS | CHANGES, .kind = ROUTE_JOB, .job_f = entities_serve,                \
		.place = PLACE_WALK, .authorise = FOR(kind_), .body_max = ADMIN_BODY_MAX, .what = kind_,     \
		.parameters = page                                                                           \
	}

/* Those of a longer path first. */
#define OF_KIND(name, kind, flags)                                                                           \
	BULK_ROUTE(name, kind, flags), TEMPLATE_ROUTE(name, kind, flags), ENTITY_ROUTE(name, kind, flags),

/* What administrators may say in a query; of what workers ask, other versions may say more. */
static const char *const none[] = { NULL };
static const char *const page[] = { "filter", "last", "lastValue", "n", "q", "sort", NULL };
static const char *const of_import[] = { "dryRun", "mode", NULL };
static const char *const of_usage[] = { "apikey", "by", "day", "group", "last", "month", "n", "repository",
	"user", NULL };
static const char *const of_audit[] = { "after", "id", "kind", "last", "n", "since", "until", "user", NULL };
static const char *const of_access[] = { "action", "key", "repository", "user", NULL };

static const char *const of_figures[] = { "member", NULL };
static const char *const of_members[] = { "force", NULL };
static const char *const of_rescue[] = { "cluster", NULL };
static const char *const of_live[] = { "every", NULL };

/* `what` is the kind of entities. */
static const struct route rows[] = {
	{ .operation = "livez",
		.path = "/livez",
		.methods = ROUTE_READS,
		.about = about_livez,
		.inline_f = system_livez },
	{ .operation = "readyz",
		.path = "/readyz",
		.methods = ROUTE_READS,
		.about = about_readyz,
		.inline_f = system_readyz },
	{ .operation = "metrics",
		.path = "/metrics",
		.methods = ROUTE_READS,
		.about = about_metrics,
		.inline_f = system_metrics },
	{ .operation = "state",
		.path = "/api/cluster/state",
		.methods = ROUTE_READS,
		.kind = ROUTE_STREAM,
		.authorise = by_worker_or_reader,
		.about = about_state,
		.stream_f = cluster_state },
	{ .operation = "report",
		.path = "/api/cluster/quotas",
		.methods = ROUTE_M(PUT),
		.kind = ROUTE_JOB,
		.authorise = by_worker,
		.place = PLACE_LANE,
		.body_max = USAGE_BYTES_MAX,
		.about = about_report,
		.job_f = cluster_report },
	{ .operation = "self_keys",
		.path = "/api/cluster/self/apikey",
		.methods = ROUTE_READS | ROUTE_M(POST) | ROUTE_M(DELETE),
		.kind = ROUTE_JOB,
		.authorise = by_worker,
		.body_max = OWN_KEY_BODY_MAX,
		.about = about_self_keys,
		.job_f = self_keys },
	{ .operation = "self_usage",
		.path = "/api/cluster/self/usage",
		.methods = ROUTE_READS,
		.kind = ROUTE_JOB,
		.authorise = by_worker,
		.about = about_self_usage,
		.job_f = self_usage },
	{ .operation = "self_prefs",
		.path = "/api/cluster/self/prefs",
		.methods = ROUTE_M(PUT),
		.kind = ROUTE_JOB,
		.authorise = by_worker,
		.body_max = SELF_BODY_MAX,
		.about = about_self_prefs,
		.job_f = self_prefs },
	{ .operation = "self_trust",
		.path = "/api/cluster/self/trust",
		.methods = ROUTE_M(PUT) | ROUTE_M(DELETE),
		.kind = ROUTE_JOB,
		.authorise = by_worker,
		.body_max = TRUST_BODY_MAX,
		.about = about_self_trust,
		.job_f = self_trust },
	{ .operation = "members",
		.path = "/api/cluster/members*",
		.methods = ROUTE_READS | ROUTE_M(DELETE) | ROUTE_M(POST),
		.kind = ROUTE_JOB,
		.authorise = by_member_or_reader,
		.body_max = DRAIN_BODY_MAX,
		.parameters = of_members,
		.about = about_members,
		.job_f = cluster_members },
	{ .operation = "chores",
		.path = "/api/cluster/chores",
		.methods = ROUTE_M(POST),
		.kind = ROUTE_JOB,
		.authorise = by_admin,
		.body_max = CHORE_ORDER_BODY_MAX,
		.parameters = none,
		.about = about_chores,
		.job_f = cluster_chores },
	{ .operation = "backup",
		.path = "/api/cluster/backup",
		.methods = ROUTE_M(GET),
		.kind = ROUTE_JOB,
		.authorise = by_admin_or_local,
		.parameters = none,
		.about = about_backup,
		.job_f = backup_serve },
	{ .operation = "export",
		.path = "/api/export",
		.methods = ROUTE_M(GET),
		.kind = ROUTE_STREAM,
		.authorise = by_admin,
		.parameters = none,
		.about = about_export,
		.stream_f = export_serve },
	{ .operation = "import",
		.path = "/api/import",
		.methods = ROUTE_M(POST),
		.kind = ROUTE_JOB,
		.authorise = by_admin,
		.place = PLACE_IMPORT,
		.body_max = IMPORT_BYTES,
		.parameters = of_import,
		.about = about_import,
		.job_f = import_serve },
	{ .operation = "openapi",
		.path = "/api/openapi.json",
		.methods = ROUTE_READS,
		.kind = ROUTE_JOB,
		.parameters = none,
		.about = about_openapi,
		.job_f = openapi_serve },
	{ .operation = "usage",
		.path = "/api/usage",
		.methods = ROUTE_READS,
		.kind = ROUTE_JOB,
		.authorise = by_key_manager,
		.parameters = of_usage,
		.about = about_usage,
		.job_f = usage_serve },
	{ .operation = "audit",
		.path = "/api/audit",
		.methods = ROUTE_READS,
		.kind = ROUTE_JOB,
		.authorise = by_reader,
		.parameters = of_audit,
		.about = about_audit,
		.job_f = audit_serve },
	{ .operation = "access",
		.path = "/api/access",
		.methods = ROUTE_READS,
		.kind = ROUTE_JOB,
		.authorise = by_reader,
		.parameters = of_access,
		.about = about_access,
		.job_f = access_serve },
#define KIND(constant, name, plural, ...)                                                                    \
	OF_KIND(#name, ENTITY_##constant, 0) OF_KIND(#plural, ENTITY_##constant, DESCRIBE_ALIAS)
#include "proto/entity_kinds.def"
#undef KIND
	{ .operation = "session",
		.about = about_session,
		.path = "/api/session",
		.methods = ROUTE_READS | ROUTE_M(POST) | ROUTE_M(DELETE),
		.kind = ROUTE_STREAM,
		.parameters = none,
		.stream_f = session_serve },
	{ .operation = "figures",
		.about = about_figures,
		.path = "/api/cluster/figures",
		.methods = ROUTE_READS,
		.kind = ROUTE_JOB,
		.authorise = by_reader,
		.parameters = of_figures,
		.job_f = cluster_figures },
	{ .operation = "rescue",
		.about = about_rescue,
		.path = "/api/cluster/rescue",
		.methods = ROUTE_M(POST),
		.kind = ROUTE_JOB,
		.authorise = by_admin,
		.body_max = DRAIN_BODY_MAX,
		.parameters = of_rescue,
		.job_f = cluster_rescue },
	{ .operation = "ring",
		.about = about_ring,
		.path = "/api/cluster/ring",
		.methods = ROUTE_READS,
		.kind = ROUTE_JOB,
		.authorise = by_reader,
		.parameters = none,
		.job_f = cluster_ring },
	{ .operation = "live",
		.about = about_live,
		.path = "/api/cluster/live",
		.methods = ROUTE_M(GET),
		.kind = ROUTE_STREAM,
		.authorise = by_reader,
		.parameters = of_live,
		.stream_f = cluster_live },
	{ .operation = "pages",
		.about = about_pages,
		.path = "/",
		.methods = ROUTE_READS,
		.inline_f = system_pages },
	{ .operation = "pages",
		.about = about_assets,
		.path = "/assets*",
		.methods = ROUTE_READS,
		.inline_f = system_pages },
};
static const struct route_table table = { rows, sizeof(rows) / sizeof(rows[0]) };

struct route_table api_routes(void)
{
	return table;
}

static bool is_known(const struct api_call *call)
{
	return call->who.role == LOGIN_WORKER || *call->who.user;
}

static const char *who_may(const struct api_call *call)
{
	if (call->route->authorise == by_worker)
		return "only workers may do this, with CLUSTER_LEADER_CLIENT_ID and "
		       "CLUSTER_LEADER_CLIENT_SECRET or a credential of their own";
	if (call->who.role == LOGIN_READER)
		return "only admins may do this; a reader changes nothing and sees no secrets";
	return call->who.keys ? "only admins may do this; you manage API keys" : "only admins may do this";
}

static struct http_response *refuse(const struct api_call *call)
{
	struct http_response *response;

	if (is_known(call))
		return api_error(403, "denied", "%s", who_may(call));
	response = api_error(
		401, "unauthorized", "authentication is needed: a user and password, or an API key");
	if (!cookie_is_page(call->request))
		http_response_header(response, "WWW-Authenticate", "Basic realm=\"zot-leader\"");
	return response;
}

/* Jobs. */

/* A job with what it holds until it ends. */
struct task {
	struct api_job job;
	const struct route *route;
	size_t rest_len;
	struct room_held room;
	struct lane_place place;
	bool imports;
};

/* One body of that size is enough. */
static atomic_bool importing;

static void task_free(void *context)
{
	struct task *task = context;

	room_leave(&task->room);
	lane_leave(&task->place);
	if (task->imports)
		atomic_store(&importing, false);
	free(task);
}

/* Workers' reports have an answer of their own, and a rescue is of a store that is away. */
static bool stores(const struct task *task)
{
	return (1u << task->job.http->method & CHANGES) && task->route->job_f != cluster_report &&
	       task->route->job_f != cluster_rescue;
}

static void work(void *arg)
{
	struct task *task = arg;
	struct endpoint_call *http = task->job.http;
	struct http_response *response;
	struct error err;

	/* Who wrote at another leader and asks this one finds what they wrote. */
	if (task->route->job_f != cluster_report)
		follow_before(task->job.leader);
	if (stores(task) && !fellows_may_store(task->job.leader->fellows, &err))
		response = api_error_of(&err);
	else
		response = task->route->job_f(&task->job);

	if (response)
		endpoint_reply(http, response);
}

static void task_run(struct endpoint_call *http)
{
	struct task *task = http->context;

	task->job.http = http;
	task->job.in_lane = task->place.lane;
	task->job.rest = str_from(http->path.at + http->path.len - task->rest_len, task->rest_len);
	if (task->place.lane)
		lane_do(&task->place, work, task);
	else
		work(task);
}

static struct http_response *busy(const char *why)
{
	struct http_response *response = api_error(503, "busy", "%s", why);

	http_response_header(response, "Retry-After", "1");
	return response;
}

/* A worker is known by its own credential, or by what it says before its body is read. */
static bool take_place(struct task *task, const struct http_request *request)
{
	const char *said = http_request_header(request, "Zot-Worker-Name"), *own = task->job.who.worker;
	int64_t length = http_request_length(request);

	if (task->route->place == PLACE_WALK && entity_list_walks(http_request_query(request)))
		return lane_take(
			task->job.leader->walks, str_of(task->job.who.user), LANE_SHORT, &task->place);
	if (length >= 0 && length <= BEAT_MOST)
		return true;
	if (task->route->place == PLACE_BULK)
		return lane_take(
			task->job.leader->bulks, str_of(task->job.who.user), LANE_SHORT, &task->place);
	if (task->route->place != PLACE_LANE)
		return true;
	return lane_take(
		task->job.leader->counts, str_of(*own || !said ? own : said), LANE_LONG, &task->place);
}

static bool take_room(struct task *task, const struct http_request *request)
{
	if (task->route->place != PLACE_IMPORT)
		return room_take(&task->room, task->job.who.worker, http_request_length(request),
			task->route->body_max);
	task->imports = !atomic_exchange(&importing, true);
	return task->imports;
}

static struct task *task_new(const struct api_call *call)
{
	struct task *task = xnew(struct task);

	task->job = (struct api_job){ .leader = call->leader,
		.who = call->who,
		.from = call->from,
		.kind = (enum entity_kind)call->route->what };
	ip_format(&task->job.from, task->job.from_text);
	task->route = call->route;
	task->rest_len = call->rest.len;
	return task;
}

static bool try_job(const struct api_call *call)
{
	const struct route *route = call->route;
	struct task *task = task_new(call);

	if (!take_place(task, call->request) || !take_room(task, call->request)) {
		task_free(task);
		return false;
	}
	endpoint_start_job(
		call->request, call->leader->pool, route->body_max, task_run, api_error_of, task, task_free);
	return true;
}

/* Its body waits unread where there is no room for it, so whoever comes again at once costs nothing
 * meanwhile. */
struct parked {
	struct waiting waiting; /* first */
	uint32_t magic;
	struct api_call call;
	struct loop_timer timer;
};

static void parked_free(struct parked *parked)
{
	loop_timer_stop(parked->call.leader->loop, &parked->timer);
	parked->magic = 0;
	free(parked);
}

static void parked_gone(struct waiting *waiting)
{
	struct parked *parked = OBJ_CAST(parked, PARKED_MAGIC, (void *)waiting);

	loop_assert(parked->call.leader->loop);
	parked_free(parked);
}

static void on_parked(void *arg)
{
	struct parked *parked = OBJ_CAST(parked, PARKED_MAGIC, arg);

	loop_assert(parked->call.leader->loop);
	http_request_set_context(parked->call.request, NULL);
	if (!try_job(&parked->call))
		http_request_reply(
			parked->call.request, busy("too many large bodies, or lists, are on their way"));
	parked_free(parked);
}

static void start_job(const struct api_call *call)
{
	struct parked *parked;

	if (call->route->job_f == backup_serve || call->route->job_f == import_serve)
		http_request_wait_limit(call->request, LONG_WAIT_MS);
	if (try_job(call))
		return;
	parked = xnew(struct parked);
	*parked = (struct parked){ .waiting = { parked_gone }, .magic = PARKED_MAGIC, .call = *call };
	http_request_set_context(call->request, parked);
	loop_timer_start(call->leader->loop, &parked->timer, PARK_MS, on_parked, parked);
}

/* The request. */

static void serve(struct api_call *call)
{
	const struct route *route = call->route;

	switch (route->kind) {
	case ROUTE_INLINE:
		http_request_reply(call->request, route->inline_f(call));
		return;
	case ROUTE_JOB:
		start_job(call);
		return;
	case ROUTE_STREAM:
		route->stream_f(call);
	}
}

/* A name that is misspelt would be an answer to another question. */
static struct http_response *refuse_parameter(const struct api_call *call, struct str unknown)
{
	const char *nearest = route_nearest(call->route, unknown);

	if (nearest)
		return api_error(400, "invalid", "there is no parameter \"%.*s\" here; did you mean \"%s\"?",
			(int)least(unknown.len, NAME_SAID), unknown.at, nearest);
	return api_error(400, "invalid", "there is no parameter \"%.*s\" here",
		(int)least(unknown.len, NAME_SAID), unknown.at);
}

/* Not what the path takes: the method of another form of it, or a body of another type. */
static struct http_response *refuse_form(const struct api_call *call)
{
	unsigned allowed = describe_methods(call->route, call->rest);

	if (!(allowed & 1u << http_request_method(call->request)))
		return api_method_not_allowed(allowed);
	return guard_refuse_body(call->request, call->route);
}

static void admit(struct api_call *call)
{
	struct http_response *refused;
	struct str unknown;

	if (!cookie_allows(call)) {
		told_refused(call, 403);
		http_request_reply(call->request, api_no_csrf());
	} else if (call->route->authorise && !call->route->authorise(call)) {
		told_refused(call, is_known(call) ? 403 : 401);
		http_request_reply(call->request, refuse(call));
	} else if ((refused = refuse_form(call))) {
		http_request_reply(call->request, refused);
	} else if (!route_takes(call->route, http_request_query(call->request), &unknown)) {
		http_request_reply(call->request, refuse_parameter(call, unknown));
	} else {
		serve(call);
	}
}

/* A password is being verified. */
struct verify {
	struct waiting waiting; /* first */
	uint32_t magic;
	struct api_call call;
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

	loop_assert(verify->call.leader->loop);
	login_cancel(verify->wait);
	verify_free(verify);
}

static void on_verified(void *arg, const struct login_who *who, unsigned retry_after_s)
{
	struct verify *verify = OBJ_CAST(verify, VERIFY_MAGIC, arg);

	loop_assert(verify->call.leader->loop);
	http_request_set_context(verify->call.request, NULL);
	verify->call.who = *who;
	if (retry_after_s) {
		told_refused(&verify->call, 429);
		http_request_reply(verify->call.request, api_later(retry_after_s));
	} else {
		admit(&verify->call);
	}
	verify_free(verify);
}

static void start_verify(const struct api_call *call, const struct login_ask *ask)
{
	struct verify *verify = xnew(struct verify);

	*verify = (struct verify){ .waiting = { verify_gone }, .magic = VERIFY_MAGIC, .call = *call };
	http_request_set_context(call->request, verify);
	verify->wait = login_start(call->leader->login, ask, call->leader->loop, on_verified, verify);
}

static void ask_who(struct api_call *call)
{
	AUTO(state) *state = leader_state(call->leader);
	struct login_ask ask = { .state = state,
		.header = http_request_header(call->request, "Authorization"),
		.client = call->from };

	if (call->route->authorise && !ask.header && cookie_open(call, state)) {
		cookie_renew(call, state);
		admit(call);
	} else if (!call->route->authorise || login_try(call->leader->login, &ask, &call->who)) {
		admit(call);
	} else {
		start_verify(call, &ask);
	}
}

static void find_row(struct api_call *call)
{
	struct http_request *request = call->request;
	unsigned allowed;
	enum route_found found = route_find(table, http_request_path(request), http_request_method(request),
		&call->route, &call->rest, &allowed);

	allowed = found == ROUTE_NO_PATH ? 0 : describe_methods(call->route, call->rest);
	if (!allowed)
		http_request_reply(request, api_error(404, "unknown", "there is no such endpoint"));
	else if (found == ROUTE_FOUND)
		ask_who(call);
	else
		http_request_reply(request, api_method_not_allowed(allowed));
}

static struct ip client_of(const struct leader *leader, struct http_request *request)
{
	struct ip peer = http_request_ip(request);
	AUTO_STR *joined = NULL;

	if (!proxies_has(leader->proxies, &peer))
		return peer;
	return proxies_client(leader->proxies, &peer,
		str_of(http_request_header_list(request, "X-Forwarded-For", &joined)));
}

static void on_request(void *app, struct http_request *request)
{
	struct api_call call = { .leader = app, .request = request, .from = client_of(app, request) };
	struct http_response *refused;

	loop_assert(call.leader->loop);
	refused = guard_refuse(request);
	if (refused)
		http_request_reply(request, refused);
	else
		find_row(&call);
}

static void on_done(void *app, struct http_request *request)
{
	struct leader *leader = app;
	struct waiting *waiting = http_request_context(request);
	unsigned status = http_request_status(request);

	loop_assert(leader->loop);
	if (waiting)
		waiting->on_gone(waiting);
	counter_add(&leader->counters.requests_total, 1);
	if (status == 401 || status == 403)
		counter_add(&leader->counters.refused_total, 1);
	if (status >= 500)
		counter_add(&leader->counters.errors_total, 1);
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
