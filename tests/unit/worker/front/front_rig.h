/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_rig - a worker's request side on a real HTTP server, store and pool, with stand-ins for
 * auth, cluster and usage that a test steers: `rig.cluster->place`, `rig_auth`, `rig_quota`.
 *
 * Clients are http_send() and plain sockets (http_rig.h).
 */
#pragma once

#include "tests/unit/common/http_rig.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/few_each.h"
#include "common/file.h"
#include "common/json.h"
#include "common/pool.h"
#include "proto/digest.h"
#include "proto/login_refusal.h"
#include "proto/peer_token.h"
#include "tests/unit/remove_tree.h"
#include "worker/auth/identity.h"
#include "worker/auth/peer_guard.h"
#include "worker/auth/peer_headers.h"
#include "worker/auth/snapshot_new.h"
#include "worker/chores/chores.h"
#include "worker/cluster/cluster_new.h"
#include "worker/cluster/complaints.h"
#include "worker/cluster/usage.h"
#include "worker/cluster/usage_bytes.h"
#include "worker/cluster/self_call.h"
#include "worker/front/front.h"
#include "worker/front/front_refused.h"
#include "worker/registry/registry.h"
#include "worker/storage/spool.h"
#include "worker/storage/store.h"

#define RIG_SECRET "rig secret"

struct cluster {
	const char *self;
	struct snapshot *snapshot;
	struct place_found place; /* of every repository and upload that is not ours */
	bool draining, stateless;
	int64_t state_age_ms, trust_ms;
	struct complaints *complaints;
	atomic_int failures;
	struct peer_guard *guard;
	_Atomic uint64_t calls;
};

/* The stand-ins. */

struct snapshot *cluster_snapshot(struct cluster *cluster)
{
	return snapshot_ref(cluster->snapshot);
}
bool cluster_is_among(struct cluster *cluster, const struct snapshot *snapshot)
{
	(void)cluster;
	return snapshot->self != RING_NOBODY;
}
bool cluster_peer_is_away(struct cluster *cluster, struct str id)
{
	(void)cluster;
	(void)id;
	return false;
}
struct place_found cluster_place(struct cluster *cluster, const struct snapshot *snapshot, struct str name)
{
	(void)snapshot;
	(void)name;
	return cluster->place;
}
bool cluster_serves(const struct cluster *cluster, struct str name)
{
	(void)cluster;
	(void)name;
	return true;
}
struct place_found cluster_place_upload(
	struct cluster *cluster, const struct snapshot *snapshot, const char *worker)
{
	(void)snapshot;
	if (!strcmp(worker, cluster->self))
		return (struct place_found){ .place = PLACE_HERE };
	if (cluster->place.place == PLACE_PEER && !strcmp(worker, cluster->place.member->id))
		return cluster->place;
	return (struct place_found){ .place = PLACE_NOWHERE };
}
void cluster_peer_failed(struct cluster *cluster, struct str id)
{
	(void)id;
	cluster->failures++;
}
bool cluster_peer_is_failed(struct cluster *cluster, struct str id)
{
	(void)cluster;
	(void)id;
	return false;
}
void cluster_peer_doubted(struct cluster *cluster, struct str id)
{
	(void)cluster;
	(void)id;
}
bool cluster_peer_signs_not(struct cluster *cluster, struct str id)
{
	(void)cluster;
	(void)id;
	return false;
}
void cluster_peer_strange(struct cluster *cluster, struct str id, const struct error *err)
{
	(void)err;
	cluster_peer_failed(cluster, id);
}
void cluster_peer_answered(struct cluster *cluster, struct str id)
{
	(void)cluster;
	(void)id;
}
int64_t cluster_trust(void *cluster, struct str name)
{
	(void)name;
	return ((struct cluster *)cluster)->trust_ms;
}
int64_t cluster_lease_left_ms(struct cluster *cluster)
{
	(void)cluster;
	return INT64_MAX;
}
const char *cluster_self(const struct cluster *cluster)
{
	return cluster->self;
}
struct str cluster_key(const struct cluster *cluster)
{
	(void)cluster;
	return STR(RIG_SECRET);
}
const char *cluster_known_as(const struct cluster *cluster)
{
	return cluster->self;
}
void cluster_name_of(const struct cluster *cluster, const struct snapshot *snapshot,
	const struct ring_member *member, struct buf *into)
{
	(void)cluster;
	(void)snapshot;
	buf_puts(into, member->id);
}
uint64_t cluster_next_call(struct cluster *cluster, uint8_t into[PEER_PROCESS_BYTES])
{
	memcpy(into, &cluster, sizeof(cluster));
	return cluster->calls++;
}
int64_t cluster_clock_ahead_ms(const struct cluster *cluster)
{
	(void)cluster;
	return -1500;
}
bool cluster_is_draining(const struct cluster *cluster)
{
	return cluster->draining;
}
bool cluster_has_state(struct cluster *cluster)
{
	return !cluster->stateless;
}
bool cluster_may_serve(const struct cluster *cluster, const struct snapshot *snapshot)
{
	(void)snapshot;
	return !cluster->stateless;
}
struct complaints *cluster_complaints(const struct cluster *cluster)
{
	return cluster->complaints;
}
int64_t cluster_state_age_ms(struct cluster *cluster)
{
	return cluster->state_age_ms;
}

bool cluster_is_led(const struct cluster *cluster)
{
	(void)cluster;
	return false;
}

/* Without leaders nobody calls one. */
struct self_call *self_call_start(const struct self_ask *ask, self_done_f *done, void *arg)
{
	(void)ask;
	(void)done;
	(void)arg;
	abort();
}

void self_call_cancel(struct self_call *call)
{
	(void)call;
	abort();
}

bool cluster_state_of_backup(const struct cluster *cluster)
{
	(void)cluster;
	return false;
}

/* Authorization: "user <name>" is let in at once, "slow <name>" after a while, "wrong" is refused, and so is
 * "slowly wrong" after a while; "slow down" is told to come again. */
struct auth_attempt {
	char name[64];
	auth_done_f *done; /* NULL: given up */
	void *arg;
};
static _Atomic int64_t rig_fail_delay_ms;
static struct entity *rig_key; /* of who comes as "key" */

/* As auth.c does it, with the guard of this worker. */
static inline bool rig_peer(
	struct peer_guard *guard, struct http_request *request, const char *header, struct identity **ret, struct error *err)
{
	AUTO_FINI(buf) lines = buf_limit(65536);
	struct peer_request signs = { .method = str_of(http_method_name(http_request_method(request))),
		.target = http_request_target(request),
		.length = http_request_length(request) };
	struct peer_claims claims;

	AUTO_FINI(buf) answer = buf_limit(PEER_ANSWER_MAX);
	struct peer_came asked = {
		.request = &signs, .header = str_of(header), .now = { clock_wall_ms(), clock_ms() }, .answer = &answer
	};
	bool admitted;

	peer_signed_request(request, &lines);
	signs.headers = buf_str(&lines);
	admitted = peer_guard_admit(guard, &asked, &claims, err);
	if (answer.len)
		http_request_reply_header(request, PEER_ANSWER_HEADER, buf_text(&answer));
	if (!admitted)
		return false;
	*ret = identity_new_peer(&claims, NULL);
	peer_claims_fini(&claims);
	return true;
}

enum auth_step auth_try(struct auth *auth, struct snapshot *snapshot, struct http_request *request,
	const struct ip *client, struct identity **ret_identity, struct auth_attempt **ret_attempt,
	struct error *err)
{
	struct str who = str_of(http_request_header(request, "Authorization"));
	const char *peer = http_request_header(request, PEER_HEADER);

	(void)snapshot;
	(void)client;
	if (peer)
		return rig_peer((struct peer_guard *)auth, request, peer, ret_identity, err) ? AUTH_OK : AUTH_REFUSED;
	if (!who.len) {
		*ret_identity = identity_new_anonymous();
		return AUTH_OK;
	}
	if (str_is(who, "key")) {
		*ret_identity = identity_new_user(STR("alice"), NULL, rig_key);
		return AUTH_OK;
	}
	if (str_skip(&who, "user ")) {
		*ret_identity = identity_new_user(who, NULL, NULL);
		return AUTH_OK;
	}
	if (str_skip(&who, "slow")) {
		*ret_attempt = xnew(struct auth_attempt);
		assert_true(str_copy(who, (*ret_attempt)->name, sizeof((*ret_attempt)->name)));
		return AUTH_PENDING;
	}
	(void)error_set(err, ERROR_DENIED, "UNAUTHORIZED", "refused");
	return AUTH_REFUSED;
}

static inline void rig_verified(void *arg)
{
	struct auth_attempt *attempt = arg;
	struct error err;

	if (!attempt->done) {
		free(attempt);
		return;
	}
	if (!strcmp(attempt->name, "ly wrong")) {
		(void)error_set(&err, ERROR_DENIED, "UNAUTHORIZED", "refused");
		attempt->done(attempt->arg, NULL, &err, 0);
	} else if (!strcmp(attempt->name, " down")) {
		(void)error_set(&err, ERROR_BUSY, "TOOMANYREQUESTS", "later");
		attempt->done(attempt->arg, NULL, &err, 7);
	} else {
		attempt->done(attempt->arg, identity_new_user(str_of(attempt->name + 1), NULL, NULL), NULL, 0);
	}
	free(attempt);
}

void auth_start(struct auth *auth, struct auth_attempt *attempt, struct loop *loop, auth_done_f *done, void *arg)
{
	(void)auth;
	attempt->done = done;
	attempt->arg = arg;
	loop_post(loop, rig_verified, attempt);
}

void auth_cancel(struct auth_attempt *attempt)
{
	attempt->done = NULL;
}

void auth_explain(struct auth *auth, const struct snapshot *snapshot, struct http_request *request,
	struct login_refusal *ret)
{
	(void)auth;
	(void)snapshot;
	(void)request;
	*ret = (struct login_refusal){ .why = "refused" };
}

void auth_metrics(struct auth *auth, struct buf *into)
{
	(void)auth;
	(void)into;
}

bool auth_has_password(const struct auth *auth, struct str user)
{
	(void)auth;
	(void)user;
	return false;
}

const char *auth_realm(const struct auth *auth)
{
	(void)auth;
	return "rig";
}

int64_t auth_fail_delay_ms(const struct auth *auth)
{
	(void)auth;
	return rig_fail_delay_ms;
}

/* Quota: what usage_admit() says, and what was counted. */
static struct {
	enum admission first, then;
	counter pulls, pushes, calls;
} rig_quota;

struct rig_grant {
	void (*resume)(void *arg);
	void *arg;
};

static inline void rig_resume(void *arg)
{
	struct rig_grant *grant = arg;

	grant->resume(grant->arg);
	free(grant);
}

enum admission usage_admit(
	struct usage *usage, const struct admission_ask *ask, struct admission_info *ret_info)
{
	struct rig_grant *grant;

	(void)usage;
	*ret_info = (struct admission_info){ .limit = 10, .remaining = 0, .reset_s = 99, .retry_after_s = 7 };
	if (ask->wait->since_ms || rig_quota.first != WAIT)
		return ask->wait->since_ms ? rig_quota.then : rig_quota.first;
	ask->wait->since_ms = 1;
	grant = xnew(struct rig_grant);
	*grant = (struct rig_grant){ ask->resume, ask->arg };
	loop_post(ask->loop, rig_resume, grant);
	return WAIT;
}

/* What a quota of bytes has left, and what became of it. */
static struct {
	atomic_bool on, waits;
	_Atomic uint64_t left, taken, moved;
	atomic_int ended;
} rig_bytes;
struct usage_bytes {
	char none;
};

struct usage_bytes *usage_bytes_new(
	struct usage *usage, struct loop *loop, const struct limits *limits, size_t len)
{
	(void)usage;
	(void)loop;
	(void)limits;
	(void)len;
	return rig_bytes.on ? xnew(struct usage_bytes) : NULL;
}
enum admission usage_bytes_take(struct usage_bytes *bytes, uint64_t more, const struct admission_ask *ask,
	struct admission_info *ret_info)
{
	struct rig_grant *grant;

	(void)bytes;
	*ret_info = (struct admission_info){ .limit = 10, .kind = LIMITS_BYTES, .retry_after_s = 9 };
	if (rig_bytes.waits && !ask->wait->since_ms) {
		ask->wait->since_ms = 1;
		grant = xnew(struct rig_grant);
		*grant = (struct rig_grant){ ask->resume, ask->arg };
		loop_post(ask->loop, rig_resume, grant);
		return WAIT;
	}
	if (more > rig_bytes.left)
		return REFUSE;
	rig_bytes.left -= more;
	rig_bytes.taken += more;
	return ADMIT;
}
uint64_t usage_bytes_end(struct usage_bytes *bytes, uint64_t moved)
{
	rig_bytes.moved = moved;
	free(bytes);
	rig_bytes.ended++;
	return moved;
}

int64_t usage_waits_ms(const struct usage *usage)
{
	(void)usage;
	return 0;
}
void usage_count(struct usage *usage, struct loop *loop, const struct usage_event *event)
{
	(void)usage;
	(void)loop;
	counter_add(&rig_quota.calls, 1);
	counter_add(&rig_quota.pulls, event->pull);
	counter_add(&rig_quota.pushes, event->push);
}

/* The rig. */

struct front_rig {
	struct front front;
	struct front_loop own;
	struct pool *pool;
	struct store *store;
	struct spool *uploads;
	struct cluster cluster;
	struct rig http;
	char folder[64], spool[96], url[64];
	struct ring_member member; /* this one, for others */
	struct json_doc *policies;
};

struct front_rig_settings {
	const char *self;
	const char *access; /* JSON of accessControl, or NULL: open to all */
	const char *folder; /* of another rig: shared storage */
	bool isolated;
	uint64_t spool_limit;
	struct store *store; /* taken; NULL: a folder */
};

static inline void front_rig_snapshot(
	struct front_rig *rig, const struct front_rig_settings *how, uint64_t epoch)
{
	struct ring_member member = { how->self, rig->url, true, NULL };
	struct snapshot_rules rules = { 0 };
	uint8_t key[16] = { 3 };
	struct ring *ring;
	struct error err;

	if (how->access) {
		assert_true(json_parse(str_of(how->access), &rig->policies, &err));
		rules = (struct snapshot_rules){ .access_control = json_root(rig->policies), .htpasswd = true };
	}
	assert_true(ring_new(&ring, epoch, RING_MODULO, key, &member, 1, &err));
	if (!snapshot_new_plain(&rig->cluster.snapshot, ring, 0, &rules, how->isolated, &err))
		fail_msg("%s", err.text);
}

static inline void front_rig_storage(struct front_rig *rig, const struct front_rig_settings *how)
{
	struct registry_settings settings = { .pool = rig->pool,
		.self = how->self,
		.trust = cluster_trust,
		.trust_arg = &rig->cluster,
		.index_cache_bytes = 8 * 1024 * 1024,
		.manifest_cache_bytes = 8 * 1024 * 1024,
		.uploads = { .sessions = UPLOADS_MAX,
			.sessions_each = UPLOADS_MAX,
			.files = 1000,
			.share = 100,
			.evict_idle_ms = UPLOAD_EVICT_IDLE_MS },
		.options = { .require_blobs = true } };
	struct error err;

	(void)snprintf(
		rig->folder, sizeof(rig->folder), "%s", how->folder ? how->folder : "/tmp/front.XXXXXX");
	if (!how->folder)
		assert_non_null(mkdtemp(rig->folder));
	(void)snprintf(rig->spool, sizeof(rig->spool), "%s/.spool-%s", rig->folder, how->self);
	assert_true(file_make_folders(rig->spool, 0700, &err));
	if (how->store)
		rig->store = how->store;
	else
		assert_true(store_fs_open(&rig->store, rig->folder, &err));
	assert_true(spool_open(
		&rig->uploads, rig->spool, how->spool_limit ? how->spool_limit : UINT64_C(1) << 40, true, &err));
	settings.store = rig->store;
	settings.spool = rig->uploads;
	rig->front.registry = registry_new(&settings);
}

static inline struct front_rig *front_rig_open(const struct front_rig_settings *how)
{
	struct front_rig *rig = xnew(struct front_rig);
	struct front *front = &rig->front;
	uint16_t port = 0;
	struct error err;

	front->stale_after_ms = 1000;
	front->metrics_path = "/metrics";
	rig->cluster.self = how->self;
	rig->cluster.trust_ms = 60000;
	rig->cluster.state_age_ms = -1;
	rig->cluster.complaints = complaints_new();
	front->cluster = &rig->cluster;
	rig->cluster.guard = peer_guard_new(STR(RIG_SECRET), how->self, (const uint8_t *)"process1", clock_ms() - 1000);
	front->auth = (struct auth *)rig->cluster.guard; /* for auth_try() above */
	front->refusals = front_refused_few();
	front->challenges = front_refused_few();
	front->loops = &rig->own;
	front->loops_len = 1;
	front->started_ms = clock_ms();
	assert_true(pool_new(&rig->pool, 4, 1000, &err));
	rig->own.front = front;
	traffic_init(&rig->own.traffic);
	rig_open(&rig->http, rig_listen(&port, false), front_app(&rig->own));
	rig->own.loop = rig->http.loop;
	rig->own.server = rig->http.server;
	rig->own.client = rig->http.client;
	(void)snprintf(rig->url, sizeof(rig->url), "http://127.0.0.1:%u", port);
	rig->member = (struct ring_member){ how->self, rig->url, true, NULL };
	front_rig_snapshot(rig, how, 5);
	front_rig_storage(rig, how);
	front->chores = chores_new(rig->http.loop, rig->pool, NULL, NULL);
	rig_run(&rig->http);
	return rig;
}

static inline void front_rig_close(struct front_rig *rig, bool remove)
{
	struct registry *registry = rig->front.registry;

	rig_halt(&rig->http);
	http_server_free(rig->http.server);
	registry_stop(registry);
	pool_free(rig->pool);
	loop_turn(rig->http.loop, 0);
	chores_free(rig->front.chores);
	registry_free(registry);
	http_client_free(rig->http.client);
	loop_free(rig->http.loop);
	spool_free(rig->uploads);
	store_free(rig->store);
	snapshot_free(rig->cluster.snapshot);
	complaints_free(rig->cluster.complaints);
	peer_guard_free(rig->cluster.guard);
	few_each_free(rig->front.refusals);
	few_each_free(rig->front.challenges);
	json_doc_free(rig->policies);
	if (remove)
		assert_true(remove_tree(rig->folder));
	free(rig);
}

/* The client: one question, one answer. Names of headers and values alternate, NULL at the end. */

static inline void rig_ask(const struct front_rig *rig, const char *method, const char *path, struct str body,
	struct http_result *result, const char *const *headers)
{
	AUTO(http_headers) *list = http_headers_new();
	AUTO_FINI(buf) url = buf_limit(16 * 1024);
	struct http_call_spec spec = { .method = method, .headers = list, .body = body };
	struct error err;

	buf_format(&url, "%s%s", rig->url, path);
	spec.url = buf_text(&url);
	spec.has_body =
		body.at || !strcmp(method, "POST") || !strcmp(method, "PUT") || !strcmp(method, "PATCH");
	for (size_t i = 0; headers && headers[i]; i += 2)
		assert_true(http_headers_add(list, str_of(headers[i]), str_of(headers[i + 1])));
	http_result_init(result, 64 * 1024 * 1024);
	if (!http_send(&spec, result, &err))
		fail_msg("%s %s: %s", method, path, err.text);
}

static inline const char *rig_header(const struct http_result *result, const char *name)
{
	const char *value = http_headers_find(result->headers, name);

	if (!value)
		fail_msg("no header %s", name);
	return value;
}
