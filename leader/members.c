/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/members_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/map.h"
#include "leader/past.h"

/* The member's row is written when it changes, and now and then so that `seen` is not of last week. */
#define WRITE_EVERY_MS 30000

struct members *members_new(void)
{
	struct members *members = xnew(struct members);

	(void)pthread_mutex_init(&members->lock, NULL);
	members->past = past_new();
	return members;
}

static void member_free(struct member *member)
{
	ledger_member_fini(&member->data);
	member_chores_fini(&member->chores);
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

struct member *members_find(const struct members *members, const char *name)
{
	size_t at = place_of(members, name);

	return at < members->len && !strcmp(members->at[at]->data.name, name) ? members->at[at] : NULL;
}

struct member *members_insert(struct members *members, const char *name)
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
	struct ledger_member empty = { .name = check_strdup(name) };
	ledger_member_copy(&empty, &member->data);
	free(empty.name);
	return member;
}

/* Whoever comes next under its name, or under none: its copies are known. */
void members_remember(struct members *members, const struct member *member)
{
	if (*member->data.process)
		past_put(members->past, member->data.process, member->number, member->seen_ms);
}

static void erase(struct members *members, struct member *member)
{
	size_t at = place_of(members, member->data.name);

	members_remember(members, member);
	members->live -= member->live;
	members->making_room -= member->makes_room;
	member_free(member);
	members->len--;
	memmove(&members->at[at], &members->at[at + 1], (members->len - at) * sizeof(*members->at));
}

void members_set_live(struct members *members, struct member *member, bool live)
{
	members->live = members->live - member->live + live;
	member->live = live;
}

void members_begin(struct members *members, int64_t now_ms)
{
	pthread_mutex_lock(&members->lock);
	members->started_ms = now_ms;
	pthread_mutex_unlock(&members->lock);
}

static void load(struct members *members, const struct ledger_member *stored, int64_t now_ms)
{
	struct member *member = members_insert(members, stored->name);

	ledger_member_fini(&member->data);
	ledger_member_copy(stored, &member->data);
	member->seen_ms = now_ms;
	member->stored_ms = now_ms;
	members_set_live(members, member, !stored->lost_wall_s && !member_is_left(member->data.state));
	if (member_is_left(member->data.state))
		past_put(members->past, member->data.process, PAST_GONE, now_ms);
}

void members_load(struct members *members, const struct ledger_member *stored, int64_t now_ms)
{
	pthread_mutex_lock(&members->lock);
	load(members, stored, now_ms);
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

/* Time. */

static void see_all(struct members *members, int64_t now_ms)
{
	for (size_t i = 0; i < members->len; i++)
		members->at[i]->seen_ms = now_ms;
}

static void forgive_absence(struct members *members, int64_t now_ms, int64_t lease_ms)
{
	if (now_ms - members->swept_ms > lease_ms / 2)
		see_all(members, now_ms);
	members->swept_ms = now_ms;
}

void members_forgive(struct members *members, int64_t now_ms)
{
	pthread_mutex_lock(&members->lock);
	see_all(members, now_ms);
	pthread_mutex_unlock(&members->lock);
}

static bool is_lost(const struct member *member, const struct members_terms *terms)
{
	return member->live && terms->now_ms - member->seen_ms > terms->lease_ms;
}

static bool is_over(const struct member *member, const struct members_terms *terms)
{
	if (member->live || (terms->keep && !(member->empty && member_is_left(member->data.state))))
		return false;
	return member_is_left(member->data.state) || member->makes_room ||
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

bool members_lose(struct members *members, const struct members_terms *terms, struct ledger_member *ret)
{
	struct member *member;

	pthread_mutex_lock(&members->lock);
	members->keep = terms->keep;
	forgive_absence(members, terms->now_ms, terms->lease_ms);
	member = first_that(members, is_lost, terms);
	if (member) {
		members_set_live(members, member, false);
		member->data.lost_wall_s = terms->now_wall_s;
		member->unstored = true;
		ledger_member_copy(&member->data, ret);
	}
	pthread_mutex_unlock(&members->lock);
	return member;
}

static bool is_draining_in(const struct ring_body *ring, const char *name)
{
	for (size_t i = 0; i < ring->members_len; i++)
		if (!strcmp(ring->members[i].id, name))
			return !strcmp(ring->members[i].state, "draining");
	return false;
}

void members_note_empty(struct members *members, const struct ring_body *ring)
{
	pthread_mutex_lock(&members->lock);
	for (size_t i = 0; i < members->len; i++) {
		struct member *member = members->at[i];

		member->empty = is_draining_in(ring, member->data.name) &&
				(member->empty || member_holds_nothing(member, (uint64_t)ring->epoch));
	}
	pthread_mutex_unlock(&members->lock);
}

bool members_over(struct members *members, const struct members_terms *terms, struct ledger_member *ret)
{
	struct member *member;

	pthread_mutex_lock(&members->lock);
	member = first_that(members, is_over, terms);
	if (member)
		ledger_member_copy(&member->data, ret);
	pthread_mutex_unlock(&members->lock);
	return member;
}

static bool is_due(const struct member *member, const struct members_terms *terms)
{
	return member->unstored || (member->live && terms->now_ms - member->stored_ms >= WRITE_EVERY_MS);
}

bool members_due(struct members *members, int64_t now_ms, struct ledger_member *ret)
{
	struct members_terms terms = { .now_ms = now_ms };
	struct member *member;

	pthread_mutex_lock(&members->lock);
	member = first_that(members, is_due, &terms);
	if (member) {
		member->unstored = false;
		member->stored_ms = now_ms;
		ledger_member_copy(&member->data, ret);
	}
	pthread_mutex_unlock(&members->lock);
	return member;
}

void members_unstored(struct members *members, const char *name)
{
	struct member *member;

	pthread_mutex_lock(&members->lock);
	member = members_find(members, name);
	if (member)
		member->unstored = true;
	pthread_mutex_unlock(&members->lock);
}

/* What another leader stored. */

static void follow(
	struct member *member, struct members *members, const struct ledger_member *row, int64_t now_ms)
{
	if (!member_is_process(member, row->process))
		return;
	member->stored_ms = now_ms;
	if (!row->lost_wall_s)
		return;
	members_set_live(members, member, false);
	member->data.lost_wall_s = row->lost_wall_s;
	member->unstored = false;
}

void members_follow(struct members *members, const struct ledger_member *row, int64_t now_ms)
{
	struct member *member;

	pthread_mutex_lock(&members->lock);
	member = members_find(members, row->name);
	if (member)
		follow(member, members, row, now_ms);
	else
		load(members, row, now_ms);
	pthread_mutex_unlock(&members->lock);
}

void members_follow_life(struct members *members)
{
	pthread_mutex_lock(&members->lock);
	for (size_t i = 0; i < members->len; i++) {
		members->at[i]->came = 0;
		members->at[i]->echo = 0;
		members->at[i]->met = false;
	}
	pthread_mutex_unlock(&members->lock);
}

/* Reports that are wanted. */

bool members_want_reports(struct members *members, const struct map *processes)
{
	bool any = false;

	pthread_mutex_lock(&members->lock);
	for (size_t i = 0; i < members->len; i++) {
		struct member *member = members->at[i];
		bool is = member->live && map_find(processes, str_of(member->data.process));

		member->wanted |= is;
		any |= is;
	}
	pthread_mutex_unlock(&members->lock);
	return any;
}

static bool take_wanted(struct member *member, int64_t now_ms, int64_t *ret_wait_ms)
{
	if (member->told_ms && now_ms - member->told_ms < MEMBERS_TOLD_MS) {
		*ret_wait_ms = member->told_ms + MEMBERS_TOLD_MS - now_ms;
		return false;
	}
	member->wanted = false;
	member->told_ms = now_ms;
	return true;
}

bool members_take_wanted(
	struct members *members, const char *name, const char *process, int64_t now_ms, int64_t *ret_wait_ms)
{
	struct member *member;
	bool taken;

	*ret_wait_ms = 0;
	pthread_mutex_lock(&members->lock);
	member = members_find(members, name);
	taken = member && member->wanted && member_is_process(member, process) &&
		take_wanted(member, now_ms, ret_wait_ms);
	pthread_mutex_unlock(&members->lock);
	return taken;
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
