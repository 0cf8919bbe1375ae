/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/members.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "leader/store.h"

/* The member's row is written when it changes, and now and then so that `seen` is not of last week. */
#define STORE_EVERY_MS 30000

struct member {
	struct store_member data;
	int64_t seen_ms;
	int64_t stored_ms;
	bool live;
};

struct members {
	pthread_mutex_t lock;
	struct member **at; /* sorted by name */
	size_t len, room;
	unsigned live;
	int64_t swept_ms;
};

struct members *members_new(void)
{
	struct members *members = xnew(struct members);

	(void)pthread_mutex_init(&members->lock, NULL);
	return members;
}

static void member_free(struct member *member)
{
	store_member_fini(&member->data);
	free(member);
}

void members_free(struct members *members)
{
	if (!members)
		return;
	for (size_t i = 0; i < members->len; i++)
		member_free(members->at[i]);
	free(members->at);
	(void)pthread_mutex_destroy(&members->lock);
	free(members);
}

/* The table. */

static size_t place_of(const struct members *members, const char *name)
{
	size_t low = 0, high = members->len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(members->at[middle]->data.name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct member *find(const struct members *members, const char *name)
{
	size_t at = place_of(members, name);

	return at < members->len && !strcmp(members->at[at]->data.name, name) ? members->at[at] : NULL;
}

static struct member *insert(struct members *members, const char *name)
{
	size_t at = place_of(members, name);
	struct member *member = xnew(struct member);

	if (members->len == members->room) {
		struct member **wider = xnew_array(struct member *, members->room ? members->room * 2 : 16);
		if (members->len)
			memcpy(wider, members->at, members->len * sizeof(*wider));
		free(members->at);
		members->at = wider;
		members->room = members->room ? members->room * 2 : 16;
	}
	memmove(&members->at[at + 1], &members->at[at], (members->len - at) * sizeof(*members->at));
	members->at[at] = member;
	members->len++;
	struct store_member empty = { .name = check_strdup(name) };
	store_member_copy(&empty, &member->data);
	free(empty.name);
	return member;
}

static void erase(struct members *members, size_t at)
{
	members->live -= members->at[at]->live;
	member_free(members->at[at]);
	members->len--;
	memmove(&members->at[at], &members->at[at + 1], (members->len - at) * sizeof(*members->at));
}

static void set_live(struct members *members, struct member *member, bool live)
{
	members->live = members->live - member->live + live;
	member->live = live;
}

static bool is_left(const char *state)
{
	return !strcmp(state, "left");
}

void members_load(struct members *members, const struct store_member *stored, int64_t now_ms)
{
	struct member *member;

	pthread_mutex_lock(&members->lock);
	member = insert(members, stored->name);
	store_member_fini(&member->data);
	store_member_copy(stored, &member->data);
	member->seen_ms = now_ms;
	member->stored_ms = now_ms;
	set_live(members, member, !stored->lost_wall_s && !is_left(stored->state));
	members->swept_ms = now_ms;
	pthread_mutex_unlock(&members->lock);
}

/* A push. */

static bool replace(char **at, const char *text)
{
	if (!strcmp(*at, text ? text : ""))
		return false;
	free(*at);
	*at = check_strdup(text ? text : "");
	return true;
}

static bool check_push(const struct member *member, const struct members *members,
	const struct usage_push *push, int64_t now_ms, int64_t lease_ms, struct error *err)
{
	const char *process = push->process ? push->process : "";

	if (push->url && *push->url && !str_starts(str_of(push->url), "http://") &&
		!str_starts(str_of(push->url), "https://"))
		return error_set(
			err, ERROR_INVALID, NULL, "url of the worker must begin with http:// or https://");
	if (!member && members->len >= MEMBERS_MAX)
		return error_set(
			err, ERROR_BUSY, NULL, "there are %d members already; forget lost ones", MEMBERS_MAX);
	if (member && member->live && strcmp(member->data.process, process) != 0 &&
		now_ms - member->seen_ms < lease_ms)
		return error_set(err, ERROR_CONFLICT, NULL,
			"another process is alive under this worker's name; give each worker a name of its "
			"own, or wait until its lease is over");
	return true;
}

static void take_push(struct member *member, const struct usage_push *push, struct members_change *change)
{
	struct store_member *data = &member->data;
	bool was_draining = !strcmp(data->state, "draining");
	bool place, rest;

	place = replace(&data->state, push->state);
	place |= replace(&data->url, push->url);
	place |= replace(&data->zone, push->zone);
	rest = replace(&data->process, push->process);
	rest |= replace(&data->boot, push->boot);
	rest |= replace(&data->version, push->version);
	data->revision = push->revision;
	data->state_age_ms = push->state_age_ms;
	data->stats = push->stats;
	data->seen_wall_s = clock_wall_s();
	change->ring = place;
	change->store = place || rest;
	change->hurry = is_left(data->state) || (!was_draining && !strcmp(data->state, "draining"));
}

bool members_push(struct members *members, const struct usage_push *push, int64_t now_ms, int64_t lease_ms,
	const struct store_member **ret_member, struct members_change *ret_change, struct error *err)
{
	struct members_change change = { 0 };
	struct member *member;
	bool ok, alive = !push->state || !is_left(push->state);

	pthread_mutex_lock(&members->lock);
	member = find(members, push->worker);
	ok = check_push(member, members, push, now_ms, lease_ms, err);
	if (ok) {
		if (!member)
			member = insert(members, push->worker);
		take_push(member, push, &change);
		change.ring |= member->live != alive;
		change.store |= member->live != alive || now_ms - member->stored_ms >= STORE_EVERY_MS;
		set_live(members, member, alive);
		member->data.lost_wall_s = 0;
		member->seen_ms = now_ms;
		if (change.store)
			member->stored_ms = now_ms;
	}
	pthread_mutex_unlock(&members->lock);
	if (!ok)
		return false;
	*ret_member = &member->data;
	*ret_change = change;
	return true;
}

void members_seen(struct members *members, const struct usage_push *push, int64_t now_ms)
{
	struct member *member;

	pthread_mutex_lock(&members->lock);
	member = find(members, push->worker);
	if (member && member->live && !strcmp(member->data.process, push->process ? push->process : ""))
		member->seen_ms = now_ms;
	pthread_mutex_unlock(&members->lock);
}

/* Time. */

static void forgive_absence(struct members *members, int64_t now_ms, int64_t lease_ms)
{
	if (now_ms - members->swept_ms > lease_ms / 2)
		for (size_t i = 0; i < members->len; i++)
			members->at[i]->seen_ms = now_ms;
	members->swept_ms = now_ms;
}

static bool is_over(const struct member *member, const struct members_terms *terms)
{
	if (member->live || terms->keep)
		return false;
	return is_left(member->data.state) ||
	       terms->now_wall_s - member->data.lost_wall_s > MEMBERS_LOST_SHOWN_S;
}

bool members_sweep(struct members *members, const struct members_terms *terms, members_each_f *lost,
	members_each_f *gone, void *arg)
{
	bool changed = false;

	pthread_mutex_lock(&members->lock);
	forgive_absence(members, terms->now_ms, terms->lease_ms);
	for (size_t i = 0; i < members->len;) {
		struct member *member = members->at[i];
		if (member->live && terms->now_ms - member->seen_ms > terms->lease_ms) {
			set_live(members, member, false);
			member->data.lost_wall_s = terms->now_wall_s;
			changed = true;
			lost(arg, &member->data);
		}
		if (!is_over(member, terms)) {
			i++;
			continue;
		}
		changed = true;
		gone(arg, &member->data);
		erase(members, i);
	}
	pthread_mutex_unlock(&members->lock);
	return changed;
}

enum members_forgot members_forget(struct members *members, struct str name)
{
	enum members_forgot forgot = MEMBERS_UNKNOWN;

	pthread_mutex_lock(&members->lock);
	for (size_t i = 0; i < members->len; i++) {
		if (!str_is(name, members->at[i]->data.name))
			continue;
		forgot = members->at[i]->live ? MEMBERS_LIVE : MEMBERS_FORGOT;
		if (forgot == MEMBERS_FORGOT)
			erase(members, i);
		break;
	}
	pthread_mutex_unlock(&members->lock);
	return forgot;
}

/* Looking. */

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

void members_each(struct members *members, members_look_f *fn, void *arg)
{
	pthread_mutex_lock(&members->lock);
	for (size_t i = 0; i < members->len; i++)
		fn(arg, &members->at[i]->data, members->at[i]->live);
	pthread_mutex_unlock(&members->lock);
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

static void put_member(struct json_writer *w, const struct member *member, int64_t now_ms, int64_t lease_ms)
{
	const struct store_member *data = &member->data;
	int64_t left = member->live ? lease_ms - (now_ms - member->seen_ms) : 0;

	json_open_object(w);
	json_put_text(w, "name", data->name);
	json_put_text(w, "state", data->lost_wall_s ? "lost" : data->state);
	json_put_text(w, "url", data->url);
	json_put_text(w, "zone", data->zone);
	json_put_text(w, "version", data->version);
	json_put_text(w, "process", data->process);
	json_put_text(w, "boot", data->boot);
	json_put_uint(w, "revision", data->revision);
	json_put_int(w, "stateAgeMs", data->state_age_ms);
	json_put_int(w, "leaseLeftMs", left > 0 ? left : 0);
	put_time(w, "lastPush", data->seen_wall_s);
	put_time(w, "lostSince", data->lost_wall_s);
	put_stats(w, &data->stats);
	json_close_object(w);
}

void members_write(struct members *members, int64_t now_ms, int64_t lease_ms, struct json_writer *writer)
{
	pthread_mutex_lock(&members->lock);
	json_open_array(writer);
	for (size_t i = 0; i < members->len; i++)
		put_member(writer, members->at[i], now_ms, lease_ms);
	json_close_array(writer);
	pthread_mutex_unlock(&members->lock);
}
