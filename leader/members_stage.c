/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members_stage - what one report would change about a member, and then does: in between it is stored.
 */
#include <string.h>

#include "common/clock.h"
#include "leader/members_priv.h"
#include "leader/past.h"
#include "proto/entity.h"
#include "proto/tenants.h"

/* Of an entity, for what a ring has beside its rows. */
#define RING_RESERVE 4096u

/* What is late. */

char *members_process_of(const struct usage_report *report)
{
	return report->process && *report->process ? report->process : report->boot;
}

/* The highest number of this process so far. */
static uint64_t newest_of(const struct members *members, const struct member *member, const char *process)
{
	uint64_t past = past_find(members->past, process);

	return member && member_is_process(member, process) && member->number > past ? member->number : past;
}

/* 0: it says nothing about its order. */
static bool is_late(uint64_t number, uint64_t newest)
{
	return newest == PAST_GONE || (number && number <= newest);
}

/* Bounds. */

/* What a row takes of an entity: in memory, with its texts' ends, which is more than its msgpack; as
 * draining, the longest state. */
static size_t row_bytes(const struct ledger_member *member)
{
	return sizeof(struct ring_row) + strlen(member->name) + strlen(member->url) + strlen(member->zone) +
	       strlen(member->tenants) + sizeof("draining") + 4;
}

static bool may_be_in_ring(const struct members *members, const struct member *member)
{
	return member->live || members->keep;
}

static bool check_fits(const struct members *members, const struct member *own,
	const struct ledger_member *row, struct error *err)
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

/* A report is staged. */

static bool check_url(const char *url, struct error *err)
{
	struct str text = str_of(url);

	return !text.len || str_starts(text, "http://") || str_starts(text, "https://") ||
	       error_set(err, ERROR_INVALID, NULL, "url of the worker must begin with http:// or https://");
}

static bool check_tenants(const char *tenants, struct error *err)
{
	return tenants_check(str_of(tenants), err) || error_add(err, "tenants of the worker");
}

static bool check_process(
	const struct member *member, const char *process, int64_t now_ms, int64_t lease_ms, struct error *err)
{
	if (!member || !member->live || member_is_process(member, process) ||
		now_ms - member->seen_ms >= lease_ms)
		return true;
	return error_set(err, ERROR_CONFLICT, "name_taken",
		"another process has this worker's name, %.60s, at %.100s: give each worker a name of its "
		"own; one "
		"that has died has it until its lease is over",
		member->data.name, *member->data.url ? member->data.url : "(no address)");
}

/* Whose counts a report brings may be a boot before it. */
static char *own_boot(const struct member *member, const struct usage_report *report, char *process)
{
	bool is_own = !strcmp(report->boot, process);

	return member && member_is_process(member, process) && !is_own ? member->data.boot : report->boot;
}

static void stage_row(
	const struct member *member, const struct usage_report *report, struct members_staged *staged)
{
	char *process = members_process_of(report);
	struct ledger_member row = { .name = report->worker,
		.process = process,
		.boot = own_boot(member, report, process),
		.url = report->url,
		.zone = report->zone,
		.tenants = report->tenants,
		.version = report->version,
		.state = report->state,
		.revision = report->revision,
		.state_age_ms = report->state_age_ms,
		.seen_wall_s = clock_wall_s(),
		.stats = report->stats,
		.complaints = report->complaints,
		.secret = report->secret };

	ledger_member_copy(&row, &staged->member);
}

static bool has_moved(const struct ledger_member *old, const struct ledger_member *new)
{
	return strcmp(old->state, new->state) != 0 || strcmp(old->url, new->url) != 0 ||
	       strcmp(old->zone, new->zone) != 0 || strcmp(old->tenants, new->tenants) != 0;
}

static bool is_another(const struct ledger_member *old, const struct ledger_member *new)
{
	return strcmp(old->process, new->process) != 0 || strcmp(old->boot, new->boot) != 0 ||
	       strcmp(old->version, new->version) != 0;
}

static void tell_changes(const struct member *member, struct members_staged *staged)
{
	const struct ledger_member *new = &staged->member;
	bool moved = !member || has_moved(&member->data, new);

	staged->ring = moved || member->live == staged->left;
	staged->registers =
		!staged->left && (!member || !member->live || !member_is_process(member, new->process));
	staged->needs_store = staged->ring || is_another(&member->data, new);
	staged->hurry = moved && (staged->left || !strcmp(new->state, "draining"));
}

static bool stage(const struct members *members, const struct usage_report *report, int64_t now_ms,
	int64_t lease_ms, struct members_staged *staged, struct error *err)
{
	const struct member *member = members_find(members, report->worker);
	const char *process = members_process_of(report);
	uint64_t newest = newest_of(members, member, process);

	staged->gone = newest == PAST_GONE;
	staged->late = is_late(staged->number, newest);
	staged->stranger = staged->left && (!member || !member_is_process(member, process));
	stage_row(member, report, staged);
	if (staged->late || staged->stranger)
		return true;
	tell_changes(member, staged);
	if (!check_url(staged->member.url, err) || !check_tenants(staged->member.tenants, err) ||
		!check_process(member, process, now_ms, lease_ms, err))
		return false;
	return staged->left || !staged->ring ||
	       (check_room(members, member, err) && check_fits(members, member, &staged->member, err));
}

bool members_stage(struct members *members, const struct usage_report *report, int64_t now_ms,
	int64_t lease_ms, struct members_staged *ret_staged, struct error *err)
{
	struct members_staged staged = { .number = report->number ? report->number : report->seq,
		.left = report->state && member_is_left(report->state) };
	bool ok;

	pthread_mutex_lock(&members->lock);
	ok = stage(members, report, now_ms, lease_ms, &staged, err);
	pthread_mutex_unlock(&members->lock);
	if (ok)
		*ret_staged = staged;
	else
		members_staged_fini(&staged);
	return ok;
}

void members_staged_fini(struct members_staged *staged)
{
	ledger_member_fini(&staged->member);
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
	return members_insert(members, name);
}

/* The member that the report is of, as things are now; NULL: a newer one was faster. */
static struct member *member_for(struct members *members, const struct members_staged *staged)
{
	struct member *member = members_find(members, staged->member.name);
	const char *process = staged->member.process;

	if (is_late(staged->number, newest_of(members, member, process)))
		return NULL;
	if (member && (staged->needs_store || (member_is_process(member, process) && member->live)))
		return member;
	return staged->needs_store ? make_member(members, staged->member.name) : NULL;
}

static void take_place(struct member *member, const struct members_staged *staged)
{
	if (staged->registers) {
		member->registered_ms = member->seen_ms;
		member->came = staged->dealings;
		member->echo = 0;
		member->met = false;
		member->wanted = false;
		member->empty = false;
	}
	if (staged->echo > member->echo)
		member->echo = staged->echo;
}

static void take_row(
	struct members *members, struct member *member, struct members_staged *staged, int64_t now_ms)
{
	bool same = member_is_process(member, staged->member.process);

	if (!same) {
		members_remember(members, member);
		member_chores_fini(&member->chores);
		member->chores_number = 0;
	}
	if (staged->needs_store)
		member->stored_ms = now_ms;
	member->unstored = !staged->needs_store && (member->unstored || !member->live);
	member->number = same && member->number > staged->number ? member->number : staged->number;
	member->seen_ms = now_ms;
	take_place(member, staged);
	set_makes_room(members, member, false);
	members_set_live(members, member, !staged->left);
	ledger_member_fini(&member->data);
	member->data = staged->member;
	staged->member = (struct ledger_member){ 0 };
}

static void apply(struct members *members, struct members_staged *staged, int64_t now_ms)
{
	struct member *member = staged->stranger ? NULL : member_for(members, staged);
	struct member *stands = members_find(members, staged->member.name);

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
