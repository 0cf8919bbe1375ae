/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/refusals.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/json.h"
#include "common/lock.h"
#include "leader/audit.h"

#define DETAIL_MAX 1024

struct refused {
	struct ip from;
	uint64_t unauthorized, denied, limited;
	struct login_refusal first; /* why NULL: nobody has said */
};

struct refusals {
	struct lock lock;
	int64_t since_ms;
	size_t len;
	struct refused at[REFUSALS_ROWS]; /* the last one: of all other addresses */
};

struct refusals_memory {
	struct refused at[REFUSALS_ROWS];
	char from[REFUSALS_ROWS][INET6_ADDRSTRLEN];
	struct buf details[REFUSALS_ROWS];
};

struct refusals *refusals_new(void)
{
	struct refusals *refusals = xnew(struct refusals);

	lock_init(&refusals->lock);
	return refusals;
}

void refusals_free(struct refusals *refusals)
{
	if (!refusals)
		return;
	lock_fini(&refusals->lock);
	free(refusals);
}

/* Counting. */

static struct refused *find_locked(struct refusals *refusals, const struct ip *from)
{
	lock_assert(&refusals->lock);
	for (size_t i = 0; i < refusals->len && i < REFUSALS_ADDRESSES; i++)
		if (ip_equal(&refusals->at[i].from, from))
			return &refusals->at[i];
	return NULL;
}

static struct refused *place_locked(struct refusals *refusals, const struct ip *from, int64_t now_ms)
{
	struct refused *refused = find_locked(refusals, from);

	if (!refusals->len)
		refusals->since_ms = now_ms;
	if (refused)
		return refused;
	if (refusals->len < REFUSALS_ROWS)
		refusals->at[refusals->len++] = (struct refused){ .from = *from };
	return &refusals->at[refusals->len - 1];
}

static void count(struct refused *refused, unsigned status)
{
	refused->unauthorized += status == 401;
	refused->denied += status == 403;
	refused->limited += status == 429;
}

static uint64_t sum_of(const struct refused *refused)
{
	return refused->unauthorized + refused->denied + refused->limited;
}

bool refusals_add(struct refusals *refusals, const struct ip *from, unsigned status, int64_t now_ms)
{
	const struct ip client = ip_client(from);
	struct refused *refused;
	bool is_first;

	lock_take(&refusals->lock);
	refused = place_locked(refusals, &client, now_ms);
	count(refused, status);
	is_first = sum_of(refused) == 1 && refused != &refusals->at[REFUSALS_ADDRESSES];
	lock_drop(&refusals->lock);
	return is_first;
}

void refusals_explain(struct refusals *refusals, const struct ip *from, const struct login_refusal *why)
{
	const struct ip client = ip_client(from);
	struct refused *refused;

	lock_take(&refusals->lock);
	refused = find_locked(refusals, &client);
	if (refused)
		refused->first = *why;
	lock_drop(&refusals->lock);
}

/* Rows. */

static void put_detail(const struct refused *refused, bool of_others, struct buf *into)
{
	struct json_writer w = json_writer(into);

	json_open_object(&w);
	json_put_uint(&w, "unauthorized", refused->unauthorized);
	json_put_uint(&w, "denied", refused->denied);
	json_put_uint(&w, "limited", refused->limited);
	json_put_text(&w, "reason", refused->first.why);
	if (of_others)
		json_put_bool(&w, "otherAddresses", true);
	json_close_object(&w);
}

static void put_row(struct refusals_rows *rows, size_t at)
{
	struct refusals_memory *memory = rows->memory;
	const struct refused *refused = &memory->at[at];
	struct ledger_audit *row = &rows->at[at];

	memory->details[at] = buf_limit(DETAIL_MAX);
	put_detail(refused, at == REFUSALS_ADDRESSES, &memory->details[at]);
	if (at < REFUSALS_ADDRESSES)
		ip_format(&refused->from, memory->from[at]);
	*row = audit_event("request", "", "refused", buf_text(&memory->details[at]));
	row->from = memory->from[at];
	row->user = refused->first.user;
	row->apikey = refused->first.apikey;
	row->count = sum_of(refused);
	row->refused = true;
}

void refusals_take(struct refusals *refusals, int64_t now_ms, bool now, struct refusals_rows *ret)
{
	*ret = (struct refusals_rows){ .memory = xnew(struct refusals_memory) };
	lock_take(&refusals->lock);
	if (now || now_ms - refusals->since_ms >= REFUSALS_SPAN_MS) {
		ret->len = refusals->len;
		memcpy(ret->memory->at, refusals->at, sizeof(refusals->at));
		refusals->len = 0;
	}
	lock_drop(&refusals->lock);
	for (size_t i = 0; i < ret->len; i++)
		put_row(ret, i);
}

void refusals_rows_fini(struct refusals_rows *rows)
{
	for (size_t i = 0; i < rows->len; i++)
		buf_fini(&rows->memory->details[i]);
	free(rows->memory);
	*rows = (struct refusals_rows){ 0 };
}
