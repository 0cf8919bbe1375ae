/* SPDX-License-Identifier: Apache-2.0 */
/*
 * system - how the process is: /livez, /readyz, /metrics. From memory, never waits.
 */
#include "common/clock.h"
#include "common/http_server.h"
#include "common/loop.h"
#include "common/pool.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/describe.h"
#include "leader/feed.h"
#include "leader/fellows.h"
#include "leader/hearing.h"
#include "leader/leader.h"
#include "leader/ledger_follow.h"
#include "leader/live.h"
#include "leader/login.h"
#include "leader/members.h"
#include "leader/pages/pages.h"
#include "leader/state_backup.h"
#include "leader/state_log.h"
#include "leader/strangers.h"

#define METRICS_MAX (256 * 1024)

/* On its loop. */
static struct leader *own_leader(const struct api_call *call)
{
	loop_assert(call->leader->loop);
	return call->leader;
}

static struct http_response *say(unsigned status, const char *state, struct leader *leader)
{
	struct buf body = buf_limit(4096);
	struct json_writer w = json_writer(&body);
	int64_t away_ms;

	json_open_object(&w);
	json_put_text(&w, "status", state);
	json_put_text(&w, "name", leader->settings->name);
	json_put_text(&w, "version", ZOT_VERSION);
	json_put_int(&w, "revision", (int64_t)state_log_revision(leader->log));
	if (!fellows_in_contact(leader->fellows, &away_ms))
		json_put_int(&w, "storeAwayMs", away_ms);
	json_close_object(&w);
	return api_json(status, &body);
}

const struct route_about about_livez[] = {
	{ .method = HTTP_GET, .summary = "The process lives.", .gives = "Health" },
	{ 0 },
};

struct http_response *system_livez(void *arg)
{
	struct leader *leader = own_leader(arg);

	return say(200, "alive", leader);
}

const struct route_about about_readyz[] = {
	{ .method = HTTP_GET, .summary = "It serves; 503 while it stops.", .gives = "Health" },
	{ 0 },
};

struct http_response *system_readyz(void *arg)
{
	struct leader *leader = own_leader(arg);

	return leader->stopping ? say(503, "stopping", leader) : say(200, "ready", leader);
}

static void put_counters(struct leader *leader, struct buf *into)
{
#define COUNTER(name, type, labels, help)                                                                    \
	metrics_put(into, "zot_leader_" #name, type, help, labels, counter_get(&leader->counters.name));
#include "leader/leader_counters.def"
#undef COUNTER
}

static void gauge(struct buf *into, const char *name, const char *help, uint64_t value)
{
	metrics_put(into, name, "gauge", help, "", value);
}

static void put_state(struct leader *leader, struct buf *into)
{
	AUTO(state) *state = leader_state(leader);

	gauge(into, "zot_leader_revision", "Revision of the newest state.", state_revision(state));
	gauge(into, "zot_leader_ring_epoch", "Epoch of the ring.", leader_ring_epoch(state));
	gauge(into, "zot_leader_members", "Members that are known, lost ones too.",
		members_count(leader->members));
	gauge(into, "zot_leader_members_live", "Members that have their lease.",
		members_live(leader->members));
	gauge(into, "zot_leader_estranged_workers",
		"Workers that have a state of another history, and refuse this leader as it refuses them.",
		strangers_count(leader->strangers));
	metrics_put_seconds(into, "zot_leader_hold_seconds", "gauge",
		"How long it will not give grants, because it hears the workers first.", "",
		(uint64_t)hearing_hold_ms(leader->hearing, clock_ms()) * 1000);
	gauge(into, "zot_leader_parked_polls", "Questions for the state that wait for a change.",
		feed_parked(leader->feed));
	gauge(into, "zot_leader_watchers", "Streams that follow the cluster live.",
		live_watchers(leader->live));
	gauge(into, "zot_leader_users", "Users.", state_count(state, ENTITY_USER));
	gauge(into, "zot_leader_apikeys", "API keys.", state_count(state, ENTITY_APIKEY));
	gauge(into, "zot_leader_policies", "Policies.", state_count(state, ENTITY_POLICY));
}

/* Of a store that leaders share; where it is this leader's alone all are 0. */
static void put_shared(struct leader *leader, struct buf *into)
{
	struct ledger_shared shared = ledger_shared(leader->ledger);
	int64_t away_ms = 0;

	(void)!fellows_in_contact(leader->fellows, &away_ms);
	metrics_put_seconds(into, "zot_leader_store_away_seconds", "gauge",
		"How long ago this leader had contact with the store that leaders share; from a second on it "
		"refuses reports. 0: the store is its own.",
		"", (uint64_t)away_ms * 1000);
	gauge(into, "zot_leader_store_lost",
		"1: the store that leaders share has lost what this leader has, or is another one; "
		"everything is "
		"refused until it was restored.",
		shared.lost);
	metrics_put(into, "zot_leader_store_replays_total", "counter",
		"Times that the store which leaders share went back, and this leader stored again what was "
		"missing.",
		"", shared.replays);
	metrics_put(into, "zot_leader_store_replayed_entries_total", "counter", "What was stored again then.",
		"", shared.replayed);
}

/* A leader that writes none has neither. */
static void put_backup(const struct leader *leader, struct buf *into)
{
	int64_t age_ms = state_backup_age_ms(leader->backup);

	if (age_ms < 0)
		return;
	metrics_put_seconds(into, "zot_leader_backup_age_seconds", "gauge",
		"Time since the newest backup of the state that is known was written, by this leader or "
		"another.",
		"", (uint64_t)age_ms * 1000);
	gauge(into, "zot_leader_backup_revision", "Revision of the state in that backup.",
		state_backup_revision(leader->backup));
}

static void put_work(struct leader *leader, struct buf *into)
{
	struct pool_stats pool = pool_stats(leader->pool);
	struct http_server_stats connections = http_server_stats(leader->server);

	gauge(into, "zot_leader_pool_queued", "Jobs that wait for a thread.", pool.queued);
	gauge(into, "zot_leader_connections_open", "Connections of workers and administrators.",
		connections.connections);
	if (connections.certificate_end_s)
		gauge(into, "zot_leader_certificate_end_timestamp_seconds",
			"When the certificate of the port ends, by the wall clock.",
			(uint64_t)connections.certificate_end_s);
	gauge(into, "zot_leader_open_requests", "Requests under way.", http_server_requests(leader->server));
	gauge(into, "zot_leader_uptime_seconds", "Time since the start.",
		(uint64_t)(clock_ms() - leader->started_ms) / 1000);
	metrics_put(into, "zot_leader_loop_spins_total", "counter",
		"Seconds in which the loop turned a thousand times and moved nothing: a fault, please report "
		"it.",
		"", loop_spins(leader->loop));
	metrics_put_process(into, leader->started_ms);
}

const struct route_about about_metrics[] = {
	{ .method = HTTP_GET,
		.summary = "Figures for Prometheus.",
		.gives = "Text",
		.gives_type = "text/plain" },
	{ 0 },
};

struct http_response *system_metrics(void *arg)
{
	struct leader *leader = own_leader(arg);
	struct buf body = buf_limit(METRICS_MAX);
	struct http_response *response;

	put_counters(leader, &body);
	put_state(leader, &body);
	put_shared(leader, &body);
	put_backup(leader, &body);
	put_work(leader, &body);
	login_metrics(leader->login, &body);
	response = http_response_buf(200, &body);
	http_response_header(response, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	return response;
}

/* Whoever comes gets them: they hold nothing of the cluster. */
const struct route_about about_pages[] = {
	{ .method = HTTP_GET,
		.summary = "The pages.",
		.gives = "Text",
		.gives_type = "text/html; charset=utf-8" },
	{ 0 },
};

const struct route_about about_assets[] = {
	{ .method = HTTP_GET,
		.below = "/{id}",
		.summary = "What the pages are made of.",
		.gives = "Text",
		.gives_type = "*/*" },
	{ 0 },
};

struct http_response *system_pages(void *arg)
{
	const struct api_call *call = arg;
	const struct pages *pages = call->leader->pages;
	struct http_response *response = pages ? pages_reply(pages, call->request) : NULL;

	return response ? response : api_error(404, "unknown", "there is no such endpoint");
}
