/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/members.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "leader/past.h"
#include "leader/store.h"
#include "proto/entity.h"

/* The member's row is written when it changes, and now and then so that `seen` is not of last week. */
#define STORE_EVERY_MS 30000
/* Of an entity, for what a ring has beside its rows. */
#define RING_RESERVE 4096u

struct member {
	struct store_member data;
	uint64_t number; /* the highest of its process */
	uint64_t came;   /* dealings of the leader's life with its registration; 0 = before that life */
	uint64_t echo;   /* the most of them that it has told of, and 1 */
	int64_t seen_ms;
	int64_t stored_ms;
	bool unstored; /* the store has it otherwise */
	bool live;
	bool met;        /* all others knew of it, when it was first dealt to */
	bool makes_room; /* for another: to be forgotten */
};

struct members {
	pthread_mutex_t lock;
	struct member **at; /* sorted by name */
	size_t len, room, making_room;
	unsigned live;
	bool keep;
	int64_t started_ms, swept_ms;
	struct past *past;
};

struct members *members_new(void)
{
	struct members *members = xnew(struct members);

	(void)pthread_mutex_init(&members->lock, NULL);
	members->past = past_new();
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
	past_free(members->past);
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

/* Whoever comes next under its name, or under none: its copies are known. */
static void remember(struct members *members, const struct member *member)
{
	if (*member->data.process)
		past_put(members->past, member->data.process, member->number, member->seen_ms);
}

static void erase(struct members *members, struct member *member)
{
	size_t at = place_of(members, member->data.name);

	remember(members, member);
	members->live -= member->live;
	members->making_room -= member->makes_room;
	member_free(member);
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

void members_begin(struct members *members, int64_t now_ms)
{
	pthread_mutex_lock(&members->lock);
	members->started_ms = now_ms;
	pthread_mutex_unlock(&members->lock);
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
	set_live(members, member, !stored->lost_wall_s && !is_left(member->data.state));
	if (is_left(member->data.state))
		past_put(members->past, member->data.process, PAST_GONE, now_ms);
	members->swept_ms = now_ms;
	pthread_mutex_unlock(&members->lock);
}

void members_load_gone(struct members *members, const char *process)
{
	pthread_mutex_lock(&members->lock);
	past_put(members->past, process, PAST_GONE, members->started_ms);
	pthread_mutex_unlock(&members->lock);
}

void members_keep(struct members *members, bool keep)
{
	pthread_mutex_lock(&members->lock);
	members->keep = keep;
	pthread_mutex_unlock(&members->lock);
}

/* What is late. */

const char *members_process_of(const struct usage_push *push)
{
	return push->process && *push->process ? push->process : push->boot;
}

static bool is_process(const struct member *member, const char *process)
{
	return !strcmp(member->data.process, process);
}

/* The highest number of this process so far. */
static uint64_t newest_of(const struct members *members, const struct member *member, const char *process)
{
	uint64_t past = past_find(members->past, process);

	return member && is_process(member, process) && member->number > past ? member->number : past;
}

/* 0: it says nothing about its order. */
static bool is_late(uint64_t number, uint64_t newest)
{
	return newest == PAST_GONE || (number && number <= newest);
}

/* Bounds. */

/* What a row takes of an entity: in memory, with its texts' ends, which is more than its msgpack; as
 * draining, the longest state. */
static size_t row_bytes(const struct store_member *member)
{
	return sizeof(struct ring_row) + strlen(member->name) + strlen(member->url) + strlen(member->zone) +
	       sizeof("draining") + 3;
}

static bool may_be_in_ring(const struct members *members, const struct member *member)
{
	return member->live || members->keep;
}

static bool check_fits(const struct members *members, const struct member *own,
	const struct store_member *row, struct error *err)
{
	size_t bytes = RING_RESERVE + row_bytes(row);

	for (size_t i = 0; i < members->len; i++)
		if (members->at[i] != own && may_be_in_ring(members, members->at[i]))
			bytes += row_bytes(&members->at[i]->data);
	return bytes <= ENTITY_BYTES_MAX ||
	       error_set(err, ERROR_CONFLICT, NULL,
		       "with this member the ring would have %zu bytes, an entity has at most %u: there are "
		       "too "
		       "many members, or their names, zones and addresses are too long",
		       bytes, ENTITY_BYTES_MAX);
}

/* The longest lost of those that have not made room yet. */
static struct member *longest_lost(const struct members *members)
{
	struct member *longest = NULL;

	for (size_t i = 0; i < members->len && !members->keep; i++) {
		struct member *member = members->at[i];
		if (member->live || member->makes_room)
			continue;
		if (!longest || member->data.lost_wall_s < longest->data.lost_wall_s)
			longest = member;
	}
	return longest;
}

static bool is_full(const struct members *members)
{
	return members->len - members->making_room >= MEMBERS_MAX;
}

static bool check_room(const struct members *members, const struct member *member, struct error *err)
{
	if ((member && !member->makes_room) || !is_full(members) || longest_lost(members))
		return true;
	return error_set(
		err, ERROR_BUSY, NULL, "there are %d members already, and none of them is lost", MEMBERS_MAX);
}

/* A push is staged. */

static bool check_url(const char *url, struct error *err)
{
	struct str text = str_of(url);

	return !text.len || str_starts(text, "http://") || str_starts(text, "https://") ||
	       error_set(err, ERROR_INVALID, NULL, "url of the worker must begin with http:// or https://");
}

static bool check_process(
	const struct member *member, const char *process, int64_t now_ms, int64_t lease_ms, struct error *err)
{
	if (!member || !member->live || is_process(member, process) || now_ms - member->seen_ms >= lease_ms)
		return true;
	return error_set(err, ERROR_CONFLICT, NULL,
		"another process is alive under this worker's name; give each worker a name of its own, or "
		"wait "
		"until its lease is over");
}

/* Whose counts a push brings may be a boot before it. */
static char *own_boot(const struct member *member, const struct usage_push *push, char *process)
{
	bool is_own = !strcmp(push->boot, process);

	return member && is_process(member, process) && !is_own ? member->data.boot : push->boot;
}

static void stage_row(
	const struct member *member, const struct usage_push *push, struct members_staged *staged)
{
	char *process = push->process && *push->process ? push->process : push->boot;
	struct store_member row = { .name = push->worker,
		.process = process,
		.boot = own_boot(member, push, process),
		.url = push->url,
		.zone = push->zone,
		.version = push->version,
		.state = push->state,
		.revision = push->revision,
		.state_age_ms = push->state_age_ms,
		.seen_wall_s = clock_wall_s(),
		.stats = push->stats };

	store_member_copy(&row, &staged->member);
}

static bool has_moved(const struct store_member *old, const struct store_member *new)
{
	return strcmp(old->state, new->state) != 0 || strcmp(old->url, new->url) != 0 ||
	       strcmp(old->zone, new->zone) != 0;
}

static bool is_another(const struct store_member *old, const struct store_member *new)
{
	return strcmp(old->process, new->process) != 0 || strcmp(old->boot, new->boot) != 0 ||
	       strcmp(old->version, new->version) != 0;
}

static void tell_changes(const struct member *member, struct members_staged *staged)
{
	const struct store_member *new = &staged->member;
	bool moved = !member || has_moved(&member->data, new);

	staged->ring = moved || member->live == staged->left;
	staged->registers = !staged->left && (!member || !member->live || !is_process(member, new->process));
	staged->needs_store = staged->ring || is_another(&member->data, new);
	staged->hurry = moved && (staged->left || !strcmp(new->state, "draining"));
}

static bool stage(const struct members *members, const struct usage_push *push, int64_t now_ms,
	int64_t lease_ms, struct members_staged *staged, struct error *err)
{
	const struct member *member = find(members, push->worker);
	const char *process = members_process_of(push);
	uint64_t newest = newest_of(members, member, process);

	staged->gone = newest == PAST_GONE;
	staged->late = is_late(staged->number, newest);
	staged->stranger = staged->left && (!member || !is_process(member, process));
	stage_row(member, push, staged);
	if (staged->late || staged->stranger)
		return true;
	tell_changes(member, staged);
	if (!check_url(staged->member.url, err) || !check_process(member, process, now_ms, lease_ms, err))
		return false;
	return staged->left || !staged->ring ||
	       (check_room(members, member, err) && check_fits(members, member, &staged->member, err));
}

bool members_stage(struct members *members, const struct usage_push *push, int64_t now_ms, int64_t lease_ms,
	struct members_staged *ret_staged, struct error *err)
{
	struct members_staged staged = { .number = push->number ? push->number : push->seq,
		.left = push->state && is_left(push->state) };
	bool ok;

	pthread_mutex_lock(&members->lock);
	ok = stage(members, push, now_ms, lease_ms, &staged, err);
	pthread_mutex_unlock(&members->lock);
	if (ok)
		*ret_staged = staged;
	else
		members_staged_fini(&staged);
	return ok;
}

void members_staged_fini(struct members_staged *staged)
{
	store_member_fini(&staged->member);
}

/* And applied. */

static void set_makes_room(struct members *members, struct member *member, bool makes_room)
{
	members->making_room = members->making_room - member->makes_room + makes_room;
	member->makes_room = makes_room;
}

static struct member *make_member(struct members *members, const char *name)
{
	struct member *lost = is_full(members) ? longest_lost(members) : NULL;

	if (lost)
		set_makes_room(members, lost, true);
	return insert(members, name);
}

/* The member that the push is of, as things are now; NULL: a newer one was faster. */
static struct member *member_for(struct members *members, const struct members_staged *staged)
{
	struct member *member = find(members, staged->member.name);
	const char *process = staged->member.process;

	if (is_late(staged->number, newest_of(members, member, process)))
		return NULL;
	if (member && (staged->needs_store || (is_process(member, process) && member->live)))
		return member;
	return staged->needs_store ? make_member(members, staged->member.name) : NULL;
}

static void take_place(struct member *member, const struct members_staged *staged)
{
	if (staged->registers) {
		member->came = staged->dealings;
		member->echo = 0;
		member->met = false;
	}
	if (staged->echo > member->echo)
		member->echo = staged->echo;
}

static void take_row(
	struct members *members, struct member *member, struct members_staged *staged, int64_t now_ms)
{
	bool same = is_process(member, staged->member.process);

	if (!same)
		remember(members, member);
	if (staged->needs_store)
		member->stored_ms = now_ms;
	member->unstored = !staged->needs_store && (member->unstored || !member->live);
	member->number = same && member->number > staged->number ? member->number : staged->number;
	member->seen_ms = now_ms;
	take_place(member, staged);
	set_makes_room(members, member, false);
	set_live(members, member, !staged->left);
	store_member_fini(&member->data);
	member->data = staged->member;
	staged->member = (struct store_member){ 0 };
}

static void apply(struct members *members, struct members_staged *staged, int64_t now_ms)
{
	struct member *member = staged->stranger ? NULL : member_for(members, staged);
	struct member *stands = find(members, staged->member.name);

	if (staged->left)
		past_put(members->past, staged->member.process, PAST_GONE, now_ms);
	if (member)
		take_row(members, member, staged, now_ms);
	else if (stands && staged->needs_store)
		stands->unstored = true;
}

void members_apply(struct members *members, struct members_staged *staged, int64_t now_ms)
{
	if (staged->late || !staged->member.name)
		return;
	pthread_mutex_lock(&members->lock);
	apply(members, staged, now_ms);
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

static bool is_lost(const struct member *member, const struct members_terms *terms)
{
	return member->live && terms->now_ms - member->seen_ms > terms->lease_ms;
}

static bool is_over(const struct member *member, const struct members_terms *terms)
{
	if (member->live || terms->keep)
		return false;
	return is_left(member->data.state) || member->makes_room ||
	       terms->now_wall_s - member->data.lost_wall_s > MEMBERS_LOST_SHOWN_S;
}

typedef bool is_f(const struct member *member, const struct members_terms *terms);

static struct member *first_that(const struct members *members, is_f *is, const struct members_terms *terms)
{
	for (size_t i = 0; i < members->len; i++)
		if (is(members->at[i], terms))
			return members->at[i];
	return NULL;
}

bool members_lose(struct members *members, const struct members_terms *terms, struct store_member *ret)
{
	struct member *member;

	pthread_mutex_lock(&members->lock);
	members->keep = terms->keep;
	forgive_absence(members, terms->now_ms, terms->lease_ms);
	member = first_that(members, is_lost, terms);
	if (member) {
		set_live(members, member, false);
		member->data.lost_wall_s = terms->now_wall_s;
		member->unstored = true;
		store_member_copy(&member->data, ret);
	}
	pthread_mutex_unlock(&members->lock);
	return member;
}

bool members_over(struct members *members, const struct members_terms *terms, struct store_member *ret)
{
	struct member *member;

	pthread_mutex_lock(&members->lock);
	member = first_that(members, is_over, terms);
	if (member)
		store_member_copy(&member->data, ret);
	pthread_mutex_unlock(&members->lock);
	return member;
}

static bool is_due(const struct member *member, const struct members_terms *terms)
{
	return member->unstored || (member->live && terms->now_ms - member->stored_ms >= STORE_EVERY_MS);
}

bool members_due(struct members *members, int64_t now_ms, struct store_member *ret)
{
	struct members_terms terms = { .now_ms = now_ms };
	struct member *member;

	pthread_mutex_lock(&members->lock);
	member = first_that(members, is_due, &terms);
	if (member) {
		member->unstored = false;
		member->stored_ms = now_ms;
		store_member_copy(&member->data, ret);
	}
	pthread_mutex_unlock(&members->lock);
	return member;
}

void members_unstored(struct members *members, const char *name)
{
	struct member *member;

	pthread_mutex_lock(&members->lock);
	member = find(members, name);
	if (member)
		member->unstored = true;
	pthread_mutex_unlock(&members->lock);
}

/* Forgetting. */

static struct member *find_str(const struct members *members, struct str name)
{
	for (size_t i = 0; i < members->len; i++)
		if (str_is(name, members->at[i]->data.name))
			return members->at[i];
	return NULL;
}

enum members_forgot members_may_forget(struct members *members, struct str name)
{
	enum members_forgot forgot = MEMBERS_UNKNOWN;
	const struct member *member;

	pthread_mutex_lock(&members->lock);
	member = find_str(members, name);
	if (member)
		forgot = member->live ? MEMBERS_LIVE : MEMBERS_FORGOT;
	pthread_mutex_unlock(&members->lock);
	return forgot;
}

void members_erase(struct members *members, struct str name)
{
	struct member *member;

	pthread_mutex_lock(&members->lock);
	member = find_str(members, name);
	if (member)
		erase(members, member);
	pthread_mutex_unlock(&members->lock);
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

bool members_has_boot(struct members *members, const char *boot, const char *but)
{
	bool has = false;

	pthread_mutex_lock(&members->lock);
	for (size_t i = 0; i < members->len && !has; i++) {
		const struct member *member = members->at[i];
		has = member->live && !is_process(member, but) &&
		      (is_process(member, boot) || !strcmp(member->data.boot, boot));
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
	member = find(members, name);
	own = member && member->live && is_process(member, process);
	met = (own && member->met) || is_known_to_all(members, member, own ? member->came : UINT64_MAX);
	if (own)
		member->met = met;
	pthread_mutex_unlock(&members->lock);
	return met;
}

static const struct member *find_process(const struct members *members, const char *process)
{
	for (size_t i = 0; i < members->len; i++)
		if (is_process(members->at[i], process))
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
