/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members_chores - the chores of members: told by their beats, ordered by administrators.
 */
#include <stdlib.h>

#include "common/check.h"
#include "leader/members_priv.h"

/* Whose process it is. */
static struct member *find_process(const struct members *members, const char *name, const char *process)
{
	struct member *member = members_find(members, name);

	return member && member_is_process(member, process) ? member : NULL;
}

void members_tell_chores(struct members *members, const struct usage_report *report)
{
	uint64_t number = report->number ? report->number : report->seq;
	struct member *member;

	pthread_mutex_lock(&members->lock);
	member = find_process(members, report->worker, members_process_of(report));
	if (member && report->chores_len && number > member->chores_number) {
		member_chores_take(&member->chores, report);
		member->chores_number = number;
	}
	pthread_mutex_unlock(&members->lock);
}

void members_ask_chores(struct members *members)
{
	pthread_mutex_lock(&members->lock);
	for (size_t i = 0; i < members->len; i++)
		members->at[i]->chores.whole = false;
	pthread_mutex_unlock(&members->lock);
}

void members_answer_chores(struct members *members, const struct usage_report *report, int64_t now_ms,
	struct usage_answer *answer)
{
	struct member *member;

	pthread_mutex_lock(&members->lock);
	member = find_process(members, report->worker, members_process_of(report));
	if (member) {
		answer->tell_chores = !member->chores.whole;
		answer->orders = member_chores_orders(&member->chores, now_ms, &answer->orders_len);
	}
	pthread_mutex_unlock(&members->lock);
}

static bool order_locked(struct member *member, const char *name, struct members_order *order, int64_t now_ms,
	struct error *err)
{
	if (!member)
		return error_set(err, ERROR_UNKNOWN, NULL, "there is no member \"%.100s\"", name);
	if (!member->live)
		return error_set(err, ERROR_CONFLICT, NULL, "the member \"%.100s\" is not there", name);
	if (!member_chores_order(&member->chores, &order->what, order->look, now_ms, &order->made, err))
		return false;
	if (order->look)
		return true;
	CHECK(str_copy(str_of(member->data.process), order->process, sizeof(order->process)));
	member->wanted = true;
	return true;
}

bool members_order(struct members *members, const char *name, struct members_order *order, int64_t now_ms,
	struct error *err)
{
	bool ok;

	pthread_mutex_lock(&members->lock);
	ok = order_locked(members_find(members, name), name, order, now_ms, err);
	pthread_mutex_unlock(&members->lock);
	return ok;
}

bool members_overhear_order(struct members *members, const char *name, const char *process,
	const struct usage_order *order, int64_t now_ms)
{
	struct member *member;

	pthread_mutex_lock(&members->lock);
	member = find_process(members, name, process);
	if (member) {
		member_chores_put_order(&member->chores, order, now_ms);
		member->wanted = member->live;
	}
	pthread_mutex_unlock(&members->lock);
	return member != NULL;
}
