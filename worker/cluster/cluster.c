/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/map.h"
#include "proto/tenants.h"
#include "proto/upload_id.h"
#include "proto/usage.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/cluster/complaints.h"
#include "worker/cluster/feed.h"
#include "worker/cluster/hello.h"
#include "worker/cluster/reach.h"
#include "worker/cluster/report.h"
#include "worker/cluster/self_address.h"

/* Alone, a view is checked against the store this often, in case somebody else writes there too. */
#define SINGLE_TRUST_MS 5000
/* Lines of the log in a minute about strangers at members' addresses. */
#define SAY_MOST    10
#define SAY_SPAN_MS 60000

/* What signs the calls between workers, unless the leaders give them a secret (peer_keys.h): one of an older
 * version does not. Members of a static cluster must be given one; who is alone has no peers and believes
 * none. */
static void derive_key(struct cluster *cluster, const struct member_settings *settings)
{
	cluster->has_key = true;
	cluster->secret_mark =
		settings->secret ? peer_key_mark(str_of(settings->secret)) : USAGE_SECRET_OF_LEADERS;
	if (settings->secret)
		peer_key_derive(
			str_of(settings->secret), "calls between workers v2, cluster secret", cluster->key);
	else if (settings->led)
		peer_key_derive(str_of(settings->leader_client_secret),
			"calls between workers v2, client secret of the leaders", cluster->key);
	else
		cluster->has_key = false;
}

static bool is_leaving(const struct member_settings *settings, const char *member)
{
	for (size_t i = 0; i < settings->leaving.len; i++)
		if (!strcmp(settings->leaving.at[i], member))
			return true;
	return false;
}

static bool ring_static(const struct member_settings *settings, struct ring **ret_ring, struct error *err)
{
	size_t len = settings->members.len;
	struct ring_member *members = xnew_array(struct ring_member, len);
	struct buf *urls = xnew_array(struct buf, len);
	uint8_t key[16];
	bool ok;

	memcpy(key, settings->hash_key, sizeof(key));
	for (size_t i = 0; i < len; i++) {
		urls[i] = buf_limit(512);
		buf_format(&urls[i], "%s://%s", settings->https ? "https" : "http", settings->members.at[i]);
		members[i] = (struct ring_member){ .id = settings->members.at[i],
			.url = buf_text(&urls[i]),
			.active = !is_leaving(settings, settings->members.at[i]) };
	}
	ok = ring_new(ret_ring, 1, RING_MODULO, key, members, len, err);
	for (size_t i = 0; i < len; i++)
		buf_fini(&urls[i]);
	free(urls);
	free(members);
	return ok;
}

/* Members of a static cluster agree on their order; how they reach each other is each one's own affair. */
static void format_place(size_t place, size_t len, struct buf *into)
{
	buf_puts(into, "member ");
	buf_decimal(into, place + 1);
	buf_puts(into, " of ");
	buf_decimal(into, len);
}

static bool start_static(struct cluster *cluster, uint16_t port, struct error *err)
{
	const struct setting_list *members = &cluster->settings.members;
	AUTO_FINI(buf) known_as = buf_limit(64);
	struct ring *ring;
	size_t place;

	if (!self_among(members, port, &place, err) || !ring_static(&cluster->settings, &ring, err))
		return false;
	cluster->self = check_strdup(members->at[place]);
	format_place(place, members->len, &known_as);
	cluster->known_as = check_strdup(buf_text(&known_as));
	return snapshot_new_plain(
		&cluster->current, ring, (int)place, &cluster->rules, cluster->settings.isolated, err);
}

static bool start_single(struct cluster *cluster, struct error *err)
{
	static const uint8_t no_key[16];
	const struct ring_member me = { .id = "alone", .url = "http://alone", .active = true };
	struct ring *ring;

	cluster->self = check_strdup("");
	cluster->single = true;
	return ring_new(&ring, 1, RING_MODULO, no_key, &me, 1, err) &&
	       snapshot_new_plain(&cluster->current, ring, 0, &cluster->rules, false, err);
}

static bool start_led(struct cluster *cluster, uint16_t port, struct error *err)
{
	AUTO_FINI(buf) name = buf_limit(MEMBER_NAME_MAX + 1);
	AUTO(state) *empty = state_new();

	self_name(&cluster->settings, port, &name);
	if (!buf_check(&name, "CLUSTER_WORKER_NAME", err))
		return false;
	cluster->self = check_strdup(buf_text(&name));
	cluster->has_leaders = true;
	return snapshot_new_state(&cluster->current, empty, cluster->self, NULL, &cluster->rules, err);
}

bool cluster_new(struct cluster **ret_cluster, const struct member_settings *settings, uint16_t port,
	struct error *err)
{
	AUTO(cluster) *cluster = xnew(struct cluster);
	AUTO_FINI(buf) url = buf_limit(1024);
	char process[33];
	bool ok;

	pthread_mutex_init(&cluster->lock, NULL);
	cluster->settings = *settings;
	cluster->rules = (struct snapshot_rules){ .led = settings->led,
		.access_control = settings->access_control,
		.htpasswd = settings->has_htpasswd,
		.certificates = settings->has_certificates,
		.own_peer_key = settings->secret != NULL };
	cluster->failed = map_new();
	cluster->unsigned_members = map_new();
	cluster->complaints = complaints_new();
	cluster->unread = buf_limit(COMPLAINT_TEXT_MAX);
	derive_key(cluster, settings);
	random_bytes(cluster->sender, sizeof(cluster->sender));
	if (settings->led || settings->members.len)
		self_url(settings, port, &url);
	cluster->url = check_strdup(buf_text(&url));
	random_hex(process, 16);
	cluster->process = check_strdup(process);
	if (settings->led)
		ok = start_led(cluster, port, err);
	else if (settings->members.len)
		ok = start_static(cluster, port, err);
	else
		ok = start_single(cluster, err);
	if (!ok)
		return false;
	trust_begin(&cluster->trust, clock_ms(), clock_wall_ms());
	*ret_cluster = TAKE(cluster);
	return true;
}

void cluster_free(struct cluster *cluster)
{
	void *until;

	if (!cluster)
		return;
	feed_free(cluster->feed);
	hello_free(cluster->hello);
	report_free(cluster->report);
	reach_free(cluster->reach);
	snapshot_free(cluster->current);
	for (size_t at = 0; map_next(cluster->failed, &at, NULL, &until);)
		free(until);
	map_free(cluster->failed);
	map_free(cluster->unsigned_members);
	complaints_free(cluster->complaints);
	buf_fini(&cluster->unread);
	pthread_mutex_destroy(&cluster->lock);
	free(cluster->self);
	free(cluster->url);
	free(cluster->process);
	free(cluster->known_as);
	free(cluster);
}

static void on_joined(void *arg)
{
	struct cluster *cluster = arg;

	report_joined(cluster->report);
}

void cluster_start(struct cluster *cluster, const struct cluster_run *run)
{
	loop_assert(run->loop);
	cluster->run = *run;
	complaints_start(cluster->complaints, run->loop);
	if (!cluster->has_leaders)
		return;
	cluster->reach = reach_start(cluster);
	cluster->feed = feed_start(cluster);
	cluster->report = report_start(cluster);
	if (cluster->settings.check_self_url)
		cluster->hello = hello_start(cluster, on_joined, cluster);
	else
		on_joined(cluster);
}

void cluster_stop(struct cluster *cluster)
{
	loop_assert(cluster->run.loop);
	reach_stop(cluster->reach);
	hello_stop(cluster->hello);
	feed_stop(cluster->feed);
	report_stop(cluster->report);
	complaints_stop(cluster->complaints);
}

/* Snapshots. */

struct snapshot *cluster_snapshot(struct cluster *cluster)
{
	struct snapshot *snapshot;

	pthread_mutex_lock(&cluster->lock);
	snapshot = snapshot_ref(cluster->current);
	pthread_mutex_unlock(&cluster->lock);
	return snapshot;
}

struct snapshot_rules cluster_rules(struct cluster *cluster)
{
	struct snapshot_rules rules;

	pthread_mutex_lock(&cluster->lock);
	rules = cluster->rules;
	pthread_mutex_unlock(&cluster->lock);
	return rules;
}

/* Whoever publishes meanwhile wins, and is refreshed in turn. */
bool cluster_refresh(struct cluster *cluster, struct error *err)
{
	struct snapshot_rules rules = cluster_rules(cluster);
	struct snapshot *made;
	bool published = false;

	while (!published) {
		AUTO(snapshot) *old = cluster_snapshot(cluster);

		if (!snapshot_new_rules(&made, old, &rules, err))
			return false;
		pthread_mutex_lock(&cluster->lock);
		published = cluster->current == old;
		if (published)
			cluster->current = made;
		pthread_mutex_unlock(&cluster->lock);
		/* Ours keeps `old` until here, the cluster's own reference goes now. */
		snapshot_free(published ? old : made);
	}
	return true;
}

bool cluster_set_access(struct cluster *cluster, const struct json *access_control, struct error *err)
{
	AUTO(snapshot) *old = cluster_snapshot(cluster);
	struct snapshot_rules rules = cluster_rules(cluster);
	struct snapshot *tried;

	rules.access_control = access_control;
	if (!snapshot_new_rules(&tried, old, &rules, err))
		return false;
	snapshot_free(tried);
	pthread_mutex_lock(&cluster->lock);
	cluster->rules.access_control = access_control;
	cluster->rules.version++;
	pthread_mutex_unlock(&cluster->lock);
	return cluster_refresh(cluster, err);
}

void cluster_publish(struct cluster *cluster, struct snapshot *snapshot)
{
	struct snapshot *old;
	bool ring_changed;

	report_state_changed(cluster->report, snapshot->state);
	pthread_mutex_lock(&cluster->lock);
	old = cluster->current;
	ring_changed = !ring_same(old->ring, snapshot->ring);
	if (ring_changed)
		trust_begin(&cluster->trust, clock_ms(), clock_wall_ms());
	cluster->current = snapshot;
	pthread_mutex_unlock(&cluster->lock);
	if (ring_changed)
		log_info("ring.applied", "epoch=%llu members=%zu self=%d",
			(unsigned long long)ring_epoch(snapshot->ring), ring_len(snapshot->ring),
			snapshot->self);
	snapshot_free(old);
}

/* Places. */

/* The member of our name is another process while it has our name: where each has its own storage, ours is not that one's. */
static bool is_self(struct cluster *cluster, const struct snapshot *snapshot)
{
	return !snapshot->isolated || !complaint_lasts(cluster->complaints, COMPLAINT_NAME);
}

bool cluster_is_among(struct cluster *cluster, const struct snapshot *snapshot)
{
	return snapshot->self != RING_NOBODY && is_self(cluster, snapshot);
}

bool cluster_serves(const struct cluster *cluster, struct str name)
{
	return !cluster->has_leaders || tenants_have(str_of(cluster->settings.tenants), name);
}

struct place_found cluster_place(struct cluster *cluster, const struct snapshot *snapshot, struct str name)
{
	int at = ring_owner(snapshot->ring, name);
	const struct ring_member *member = at == RING_NOBODY ? NULL : ring_at(snapshot->ring, (size_t)at);

	if (member && at == snapshot->self && is_self(cluster, snapshot))
		return (struct place_found){ .place = PLACE_HERE };
	if (member && at != snapshot->self && !cluster_peer_is_away(cluster, str_of(member->id)))
		return (struct place_found){ .place = PLACE_PEER, .member = member };
	return (struct place_found){
		.place = snapshot->isolated || !cluster_serves(cluster, name) ? PLACE_NOWHERE : PLACE_HERE,
		.member = member
	};
}

static const struct ring_member *find_member(const struct ring *ring, const char *id)
{
	int at = ring_find(ring, str_of(id));

	return at == RING_NOBODY ? NULL : ring_at(ring, (size_t)at);
}

struct place_found cluster_place_upload(
	struct cluster *cluster, const struct snapshot *snapshot, const char *worker)
{
	const struct ring_member *member;

	if (!strcmp(worker, cluster->self))
		return (struct place_found){ .place = PLACE_HERE };
	if (!(member = find_member(snapshot->ring, worker)) && snapshot->departed)
		member = find_member(snapshot->departed, worker);
	return (struct place_found){ .place = member ? PLACE_PEER : PLACE_NOWHERE, .member = member };
}

void cluster_peer_strange(struct cluster *cluster, struct str id, const struct error *err)
{
	bool tell;

	cluster_peer_failed(cluster, id);
	pthread_mutex_lock(&cluster->lock);
	tell = few_take(&cluster->strangers, SAY_MOST, SAY_SPAN_MS, clock_ms());
	pthread_mutex_unlock(&cluster->lock);
	if (tell)
		log_warn("peer.stranger", "member=%s what=%s", log_quote(id), log_quote(str_of(err->text)));
}

bool cluster_peer_signs_not(struct cluster *cluster, struct str id)
{
	bool is;

	pthread_mutex_lock(&cluster->lock);
	is = map_find(cluster->unsigned_members, id) != NULL;
	pthread_mutex_unlock(&cluster->lock);
	return is;
}

void cluster_set_unsigned(struct cluster *cluster, const struct usage_answer *answer)
{
	struct map *names = map_new();

	for (size_t i = 0; i < answer->unsigned_members_len; i++)
		(void)map_put(names, str_of(answer->unsigned_members[i].name), cluster);
	pthread_mutex_lock(&cluster->lock);
	struct map *before = cluster->unsigned_members;
	cluster->unsigned_members = names;
	pthread_mutex_unlock(&cluster->lock);
	map_free(before);
}

/* Trust and lease. */

int64_t cluster_lease_left_ms(struct cluster *cluster)
{
	int64_t left;

	if (!cluster->has_leaders)
		return INT64_MAX;
	pthread_mutex_lock(&cluster->lock);
	left = cluster->trust.lease_until_ms - clock_ms();
	pthread_mutex_unlock(&cluster->lock);
	return left > 0 ? left : 0;
}

void cluster_renew(struct cluster *cluster, const struct trust_answer *answer)
{
	int64_t missed;

	pthread_mutex_lock(&cluster->lock);
	missed = trust_renew(&cluster->trust, answer);
	pthread_mutex_unlock(&cluster->lock);
	if (missed)
		log_warn("lease.missed",
			"ms=%lld what=\"time went on without this worker, or a clock was set: the store is "
			"asked anew for everything\"",
			(long long)missed);
}

static int64_t trust_alone(struct cluster *cluster)
{
	int64_t trust;

	pthread_mutex_lock(&cluster->lock);
	trust = trust_alone_ms(&cluster->trust, clock_ms(), clock_wall_ms(), SINGLE_TRUST_MS);
	pthread_mutex_unlock(&cluster->lock);
	return trust;
}

/* A view counts only from the moment the present ring was adopted: who owned the repository in
 * between may have changed it. */
int64_t cluster_trust(void *arg, struct str name)
{
	struct cluster *cluster = arg;
	AUTO(snapshot) *snapshot = NULL;
	int64_t trust;

	if (cluster->single)
		return trust_alone(cluster);
	if (!cluster->has_leaders)
		return 0;
	pthread_mutex_lock(&cluster->lock);
	snapshot = snapshot_ref(cluster->current);
	trust = trust_ms(&cluster->trust, clock_ms(), clock_wall_ms(), snapshot->lease_ms);
	pthread_mutex_unlock(&cluster->lock);
	if (snapshot->self == RING_NOBODY || ring_owner(snapshot->ring, name) != snapshot->self)
		return 0;
	return trust;
}

bool cluster_owns(struct cluster *cluster, struct str name)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(cluster);

	return snapshot->isolated ||
	       (snapshot->self != RING_NOBODY && ring_owner(snapshot->ring, name) == snapshot->self);
}

uint64_t cluster_ownership(struct cluster *cluster)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(cluster);

	if (!snapshot->isolated && !ring_has_active(snapshot->ring))
		return 0;
	return ring_mark(snapshot->ring) | 1;
}

int64_t cluster_state_age_ms(struct cluster *cluster)
{
	int64_t fresh = atomic_load(&cluster->state_fresh_ms);

	if (!cluster->has_leaders)
		return -1;
	return fresh ? clock_ms() - fresh : INT64_MAX;
}

bool cluster_is_led(const struct cluster *cluster)
{
	return cluster->has_leaders;
}

bool cluster_state_of_backup(const struct cluster *cluster)
{
	return atomic_load(&cluster->of_backup);
}

bool cluster_has_state(struct cluster *cluster)
{
	bool has;

	if (!cluster->has_leaders)
		return true;
	pthread_mutex_lock(&cluster->lock);
	has = state_revision(cluster->current->state) > 0;
	pthread_mutex_unlock(&cluster->lock);
	return has;
}

const char *cluster_self(const struct cluster *cluster)
{
	return cluster->self;
}

struct str cluster_key(const struct cluster *cluster)
{
	return cluster->has_key ? str_from(cluster->key, sizeof(cluster->key)) : STR_NONE;
}

const char *cluster_known_as(const struct cluster *cluster)
{
	return cluster->known_as ? cluster->known_as : cluster->self;
}

void cluster_name_of(const struct cluster *cluster, const struct snapshot *snapshot,
	const struct ring_member *member, struct buf *into)
{
	if (cluster->has_leaders)
		buf_puts(into, member->id);
	else
		format_place((size_t)ring_find(snapshot->ring, str_of(member->id)), ring_len(snapshot->ring),
			into);
}

const uint8_t *cluster_process(const struct cluster *cluster)
{
	return cluster->sender;
}

uint64_t cluster_next_call(struct cluster *cluster, uint8_t into[PEER_PROCESS_BYTES])
{
	memcpy(into, cluster->sender, sizeof(cluster->sender));
	return atomic_fetch_add_explicit(&cluster->calls, 1, memory_order_relaxed);
}

bool cluster_may_serve(const struct cluster *cluster, const struct snapshot *snapshot)
{
	return !cluster->has_leaders || state_revision(snapshot->state);
}

int64_t cluster_clock_ahead_ms(const struct cluster *cluster)
{
	return atomic_load(&cluster->clock_ahead_ms);
}

bool cluster_is_draining(const struct cluster *cluster)
{
	return atomic_load(&cluster->draining);
}

struct complaints *cluster_complaints(const struct cluster *cluster)
{
	return cluster->complaints;
}

void cluster_drain(struct cluster *cluster)
{
	loop_assert(cluster->run.loop);
	atomic_store(&cluster->draining, true);
	if (cluster->report)
		report_say(cluster->report, "draining");
}

void cluster_leave(struct cluster *cluster)
{
	loop_assert(cluster->run.loop);
	if (cluster->report)
		report_say(cluster->report, "left");
}

bool cluster_has_left(struct cluster *cluster)
{
	return !cluster->report || report_is_over(cluster->report);
}
