/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members_look - what others want to know of the members.
 */
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/map.h"
#include "leader/members_priv.h"
#include "leader/past.h"

#define SECRETS_MAX 8 /* of one cluster that are told apart */

unsigned members_live(struct members *members)
{
	unsigned live;

	pthread_mutex_lock(&members->lock);
	live = members->live;
	pthread_mutex_unlock(&members->lock);
	return live;
}

size_t members_count(struct members *members)
{
	size_t len;

	pthread_mutex_lock(&members->lock);
	len = members->len;
	pthread_mutex_unlock(&members->lock);
	return len;
}

bool members_has_boot(struct members *members, const char *boot, const char *but)
{
	bool has = false;

	pthread_mutex_lock(&members->lock);
	for (size_t i = 0; i < members->len && !has; i++) {
		const struct member *member = members->at[i];
		has = member->live && !member_is_process(member, but) &&
		      (member_is_process(member, boot) || !strcmp(member->data.boot, boot));
	}
	pthread_mutex_unlock(&members->lock);
	return has;
}

static bool is_known_to_all(const struct members *members, const struct member *member, uint64_t came)
{
	for (size_t i = 0; i < members->len; i++)
		if (members->at[i] != member && members->at[i]->live && members->at[i]->echo <= came)
			return false;
	return true;
}

bool members_is_met(struct members *members, const char *name, const char *process)
{
	struct member *member;
	bool own, met;

	pthread_mutex_lock(&members->lock);
	member = members_find(members, name);
	own = member && member->live && member_is_process(member, process);
	met = (own && member->met) || is_known_to_all(members, member, own ? member->came : UINT64_MAX);
	if (own)
		member->met = met;
	pthread_mutex_unlock(&members->lock);
	return met;
}

static const struct member *find_process(const struct members *members, const char *process)
{
	for (size_t i = 0; i < members->len; i++)
		if (member_is_process(members->at[i], process))
			return members->at[i];
	return NULL;
}

int64_t members_silence_ms(struct members *members, const char *process, int64_t now_ms)
{
	const struct member *member;
	int64_t heard_ms;

	pthread_mutex_lock(&members->lock);
	member = find_process(members, process);
	heard_ms = past_heard_ms(members->past, process);
	if (member && member->seen_ms > heard_ms)
		heard_ms = member->seen_ms;
	if (members->started_ms > heard_ms)
		heard_ms = members->started_ms;
	pthread_mutex_unlock(&members->lock);
	return now_ms - heard_ms;
}

/* Secrets of members. */

struct secret_group {
	uint64_t secret;
	unsigned len;
	int64_t first_ms; /* when the first of them registered */
};

static void add_to_group(struct secret_group *groups, size_t *len, const struct member *member)
{
	size_t i = 0;

	while (i < *len && groups[i].secret != member->data.secret)
		i++;
	if (i == SECRETS_MAX)
		return;
	if (i == *len)
		groups[(*len)++] = (struct secret_group){ member->data.secret, 0, member->registered_ms };
	groups[i].len++;
	if (member->registered_ms < groups[i].first_ms)
		groups[i].first_ms = member->registered_ms;
}

static bool leads(const struct secret_group *a, const struct secret_group *b)
{
	return a->len != b->len ? a->len > b->len : a->first_ms < b->first_ms;
}

/* That of most live members; of as many, of those who were there first. 0: not each of them has said its own, as after a start. */
static uint64_t leading_secret(const struct members *members)
{
	struct secret_group groups[SECRETS_MAX];
	size_t len = 0, first = 0;

	for (size_t i = 0; i < members->len; i++) {
		if (members->at[i]->live && !members->at[i]->data.secret)
			return 0;
		if (members->at[i]->live)
			add_to_group(groups, &len, members->at[i]);
	}
	for (size_t i = 1; i < len; i++)
		if (leads(&groups[i], &groups[first]))
			first = i;
	return len ? groups[first].secret : 0;
}

static bool has_other_secret(const struct member *member, uint64_t leading)
{
	return leading && member->data.secret != leading;
}

bool members_has_other_secret(struct members *members, const char *name)
{
	const struct member *member;
	bool has;

	pthread_mutex_lock(&members->lock);
	member = members_find(members, name);
	has = member && member->live && has_other_secret(member, leading_secret(members));
	pthread_mutex_unlock(&members->lock);
	return has;
}

static bool is_alone(const struct member *member)
{
	struct str rest = str_of(member->data.complaints), line;

	while (str_next(&rest, '\n', &line))
		if (str_starts(line, "peers: "))
			return true;
	return false;
}

bool members_is_cut(struct members *members, const char *name)
{
	size_t active = 0, alone = 0;
	const struct member *member;
	bool cut;

	pthread_mutex_lock(&members->lock);
	member = members_find(members, name);
	cut = member && member->live && is_alone(member);
	for (size_t i = 0; cut && i < members->len; i++) {
		if (!members->at[i]->live || strcmp(members->at[i]->data.state, "active") != 0)
			continue;
		active++;
		alone += is_alone(members->at[i]);
	}
	pthread_mutex_unlock(&members->lock);
	return cut && alone * 2 < active;
}

static bool does_not_sign(const struct member *member)
{
	return member->live && member->number && !member->data.secret;
}

struct usage_unsigned *members_unsigned(struct members *members, size_t *ret_len)
{
	struct usage_unsigned *rows = xnew_array(struct usage_unsigned, USAGE_UNSIGNED_MOST);
	size_t len = 0;

	pthread_mutex_lock(&members->lock);
	for (size_t i = 0; i < members->len && len < USAGE_UNSIGNED_MOST; i++)
		if (does_not_sign(members->at[i]))
			rows[len++].name = check_strdup(members->at[i]->data.name);
	pthread_mutex_unlock(&members->lock);
	*ret_len = len;
	return rows;
}

void members_each(struct members *members, members_look_f *fn, void *arg)
{
	uint64_t leading;

	pthread_mutex_lock(&members->lock);
	leading = leading_secret(members);
	for (size_t i = 0; i < members->len; i++)
		fn(arg, &members->at[i]->data,
			members->at[i]->live && !has_other_secret(members->at[i], leading));
	pthread_mutex_unlock(&members->lock);
}

static bool all_have(const struct members *members, uint64_t revision)
{
	for (size_t i = 0; i < members->len; i++)
		if (members->at[i]->live && members->at[i]->data.revision < revision)
			return false;
	return true;
}

bool members_is_idle(struct members *members, const char *name, uint64_t revision)
{
	const struct member *member;
	bool idle;

	pthread_mutex_lock(&members->lock);
	member = members_find(members, name);
	idle = !member || !member->live ||
	       (all_have(members, revision) &&
		       (!member->data.stats.uploads || member->data.stats.uploads_rest));
	pthread_mutex_unlock(&members->lock);
	return idle;
}

bool members_holds_nothing(struct members *members, const char *name, uint64_t epoch)
{
	const struct member *member;
	bool nothing;

	pthread_mutex_lock(&members->lock);
	member = members_find(members, name);
	nothing = !member || member_holds_nothing(member, epoch);
	pthread_mutex_unlock(&members->lock);
	return nothing;
}

static void put_chores(struct json_writer *w, const struct usage_stats *stats)
{
	json_key(w, STR("chores"));
	json_open_object(w);
	json_put_uint(w, "running", stats->chores);
	if (stats->chore[0]) {
		json_put_text(w, "longest", stats->chore);
		json_put_uint(w, "longestMs", stats->chore_ms);
	}
	json_put_uint(w, "failures", stats->chore_failures);
	if (stats->chore_failures)
		json_put_uint(w, "failedMsAgo", stats->chore_failed_ms);
	json_close_object(w);
}

static void put_stats(struct json_writer *w, const struct usage_stats *stats)
{
	json_key(w, STR("stats"));
	json_open_object(w);
	json_put_int(w, "rateMilli", stats->rate < 1e15 ? (int64_t)(stats->rate * 1000) : INT64_MAX);
	json_put_uint(w, "requests", stats->requests);
	json_put_uint(w, "openRequests", stats->open_requests);
	json_put_uint(w, "bytesIn", stats->bytes_in);
	json_put_uint(w, "bytesOut", stats->bytes_out);
	json_put_uint(w, "rss", stats->rss);
	json_put_uint(w, "cpuMs", stats->cpu_ms);
	json_put_uint(w, "uptimeMs", stats->uptime_ms);
	json_put_uint(w, "p50Us", stats->p50_us);
	json_put_uint(w, "p99Us", stats->p99_us);
	json_put_uint(w, "proxied", stats->proxied);
	json_put_uint(w, "s3Requests", stats->s3_requests);
	json_put_uint(w, "spoolBytes", stats->spool_bytes);
	json_put_uint(w, "errors", stats->errors);
	json_put_uint(w, "uploads", stats->uploads);
	if (stats->weighed) {
		json_put_uint(w, "storageBytes", stats->storage_bytes);
		json_put_uint(w, "storageRepositories", stats->storage_repositories);
	}
	if (stats->counted) {
		json_put_uint(w, "storageBlobs", stats->storage_blobs);
		json_put_uint(w, "storageManifests", stats->storage_manifests);
		json_put_uint(w, "storageTags", stats->storage_tags);
	}
	if (stats->moves) {
		json_put_uint(w, "movesHeld", stats->moves_held);
		json_put_uint(w, "movesComing", stats->moves_coming);
		json_put_uint(w, "movesEpoch", stats->moves_epoch);
	}
	put_chores(w, stats);
	json_close_object(w);
}

static void put_time(struct json_writer *w, const char *key, int64_t wall_s)
{
	char text[CLOCK_RFC3339_SIZE];

	if (!wall_s)
		return;
	clock_rfc3339(wall_s * 1000, text);
	json_put_text(w, key, text);
}

static void put_complaints(struct json_writer *w, const char *complaints)
{
	struct str rest = str_of(complaints), line;

	json_key(w, STR("complaints"));
	json_open_array(w);
	while (str_next(&rest, '\n', &line)) {
		if (line.len)
			json_value_str(w, line);
	}
	json_close_array(w);
}

static const struct entity *drain_of(const struct members_rows *rows, const struct member *member)
{
	return state_find(rows->state, ENTITY_DRAIN, str_of(member->data.name));
}

static void put_drained(struct json_writer *w, const struct entity *drain)
{
	if (!drain)
		return;
	json_key(w, STR("drained"));
	json_open_object(w);
	put_time(w, "since", entity_drain(drain)->since);
	json_put_text(w, "by", entity_drain(drain)->by);
	json_close_object(w);
}

static void put_member(struct json_writer *w, const struct member *member, const struct members_rows *rows)
{
	const struct ledger_member *data = &member->data;
	int64_t left = member->live ? rows->lease_ms - (rows->now_ms - member->seen_ms) : 0;

	json_open_object(w);
	json_put_text(w, "name", data->name);
	json_put_text(w, "state", data->lost_wall_s ? "lost" : data->state);
	json_put_text(w, "url", data->url);
	json_put_text(w, "zone", data->zone);
	json_put_text(w, "tenants", data->tenants);
	json_put_text(w, "version", data->version);
	json_put_text(w, "process", data->process);
	json_put_text(w, "boot", data->boot);
	json_put_uint(w, "revision", data->revision);
	json_put_int(w, "stateAgeMs", data->state_age_ms);
	json_put_int(w, "leaseLeftMs", left > 0 ? left : 0);
	put_time(w, "lastPush", data->seen_wall_s);
	put_time(w, "lostSince", data->lost_wall_s);
	put_drained(w, drain_of(rows, member));
	put_complaints(w, data->complaints);
	put_stats(w, &data->stats);
	if (rows->chores) {
		json_key(w, STR("chores"));
		member_chores_write(&member->chores, w);
	}
	json_close_object(w);
}

static uint64_t stamp_of(const struct member *member, const struct members_rows *rows)
{
	const struct entity *drain = drain_of(rows, member);
	const uint64_t facts[] = { (uint64_t)member->seen_ms, (uint64_t)member->data.lost_wall_s,
		member->number, member->live, drain ? entity_revision(drain) : 0 };

	return map_hash(facts, sizeof(facts));
}

void members_write(struct members *members, const struct members_rows *rows, struct json_writer *writer)
{
	pthread_mutex_lock(&members->lock);
	json_open_array(writer);
	for (size_t i = 0; i < members->len; i++) {
		const struct member *member = members->at[i];
		if (!rows->wants || rows->wants(rows->arg, member->data.name, stamp_of(member, rows)))
			put_member(writer, member, rows);
	}
	json_close_array(writer);
	pthread_mutex_unlock(&members->lock);
}
