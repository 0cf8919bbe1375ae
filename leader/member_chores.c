/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/member_chores.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/crypto.h"

#define ROWS_STEP 16
#define ID_BOUND  (UINT64_C(1) << 52) /* a number that any reader of JSON has whole */

void member_chores_fini(struct member_chores *chores)
{
	for (size_t i = 0; i < chores->len; i++)
		usage_chore_fini(&chores->rows[i]);
	free(chores->rows);
	free(chores->orders);
	*chores = (struct member_chores){ 0 };
}

/* ---- what it tells ---- */

static size_t text_bytes(const char *text)
{
	return text ? strlen(text) : 0;
}

static size_t run_bytes(const struct usage_run *run)
{
	return text_bytes(run->how) + text_bytes(run->unit) + text_bytes(run->what) + text_bytes(run->error);
}

static size_t row_bytes(const struct usage_chore *chore)
{
	return sizeof(*chore) + run_bytes(&chore->run) + run_bytes(&chore->last);
}

static struct usage_chore *find(const struct member_chores *chores, struct str name)
{
	for (size_t i = 0; i < chores->len; i++)
		if (str_is(name, chores->rows[i].name))
			return &chores->rows[i];
	return NULL;
}

static void widen(struct member_chores *chores)
{
	struct usage_chore *wider = xnew_array(struct usage_chore, chores->len + ROWS_STEP);

	if (chores->len)
		memcpy(wider, chores->rows, chores->len * sizeof(*wider));
	free(chores->rows);
	chores->rows = wider;
}

static struct usage_chore *add(struct member_chores *chores)
{
	if (chores->len == USAGE_CHORES_MAX)
		return NULL;
	if (chores->len % ROWS_STEP == 0)
		widen(chores);
	return &chores->rows[chores->len++];
}

static void drop_order(struct member_chores *chores, size_t at)
{
	chores->orders[at] = chores->orders[--chores->orders_len];
}

static void note_done(struct member_chores *chores, const struct usage_chore *row)
{
	for (size_t i = chores->orders_len; i-- > 0;)
		if (chores->orders[i].order.id == row->order)
			drop_order(chores, i);
}

static void take_row(struct member_chores *chores, const struct usage_chore *row)
{
	struct usage_chore *old = find(chores, str_of(row->name));
	size_t bytes = chores->bytes - (old ? row_bytes(old) : 0) + row_bytes(row);

	if (!row->name[0] || bytes > MEMBER_CHORES_BYTES)
		return;
	if (old)
		usage_chore_fini(old);
	else
		old = add(chores);
	if (!old)
		return;
	note_done(chores, row);
	chores->bytes = bytes;
	usage_chore_copy(row, old);
}

void member_chores_take(struct member_chores *chores, const struct usage_report *report)
{
	for (size_t i = 0; i < report->chores_len; i++)
		take_row(chores, &report->chores[i]);
	chores->whole = chores->whole || report->chores_whole;
}

/* ---- what is asked of it ---- */

static void put_names(const struct member_chores *chores, bool dry, struct buf *into)
{
	for (size_t i = 0; i < chores->len; i++)
		if (!dry || chores->rows[i].can_dry_run)
			buf_format(into, "%s%s", into->len ? ", " : "", chores->rows[i].name);
}

static bool refuse_name(const struct member_chores *chores, struct str name, struct error *err)
{
	AUTO_FINI(buf) all = buf_limit(USAGE_CHORES_MAX * (USAGE_WORD_MAX + 2));
	const char *names[USAGE_CHORES_MAX], *near;

	if (!chores->len)
		return error_set(err, ERROR_CONFLICT, NULL,
			"the member has not told of its chores yet, or is of a version that does not");
	for (size_t i = 0; i < chores->len; i++)
		names[i] = chores->rows[i].name;
	near = str_nearest(name, names, chores->len);
	put_names(chores, false, &all);
	return error_set(err, ERROR_UNKNOWN, NULL, "it has no chore \"%.*s\"%s%s%s; it has: %s",
		(int)(name.len < 40 ? name.len : 40), name.at, near ? "; did you mean \"" : "",
		near ? near : "", near ? "\"?" : "", buf_text(&all));
}

static bool refuse_dry(const struct member_chores *chores, const struct usage_chore *chore, struct error *err)
{
	AUTO_FINI(buf) able = buf_limit(USAGE_CHORES_MAX * (USAGE_WORD_MAX + 2));

	put_names(chores, true, &able);
	return error_set(err, ERROR_INVALID, NULL, "the chore \"%s\" has no dry run; these have one: %s",
		chore->name, able.len ? buf_text(&able) : "none");
}

static struct member_order *order_of(const struct member_chores *chores, const char *chore)
{
	for (size_t i = 0; i < chores->orders_len; i++)
		if (!strcmp(chores->orders[i].order.chore, chore))
			return &chores->orders[i];
	return NULL;
}

/* As far as it is known here: the worker has the last word. */
static bool check_state(const struct member_chores *chores, const struct usage_chore *chore, bool stop,
	int64_t now_ms, struct error *err)
{
	const struct member_order *asked = order_of(chores, chore->name);
	bool begins = asked && asked->until_ms > now_ms && !asked->order.stop;
	bool runs = strcmp(chore->state, "idle") != 0;

	if (stop)
		return runs || begins ||
		       error_set(err, ERROR_CONFLICT, NULL, "the chore \"%s\" does not run", chore->name);
	return (!begins && strcmp(chore->state, "running") != 0) ||
	       error_set(err, ERROR_CONFLICT, NULL, "the chore \"%s\" %s already", chore->name,
		       begins ? "is about to run" : "runs");
}

void member_chores_put_order(struct member_chores *chores, const struct usage_order *order, int64_t now_ms)
{
	struct member_order *place = order_of(chores, order->chore);

	if (!chores->orders)
		chores->orders = xnew_array(struct member_order, USAGE_CHORES_MAX);
	if (!place && chores->orders_len == USAGE_CHORES_MAX)
		return;
	if (!place)
		place = &chores->orders[chores->orders_len++];
	*place = (struct member_order){ *order, now_ms + MEMBER_ORDER_MS };
}

bool member_chores_order(struct member_chores *chores, const struct chore_view_order *what, bool look,
	int64_t now_ms, struct usage_order *ret, struct error *err)
{
	struct str name = str_of(what->chore);
	const struct usage_chore *chore = find(chores, name);

	if (!chore)
		return refuse_name(chores, name, err);
	if (what->dry_run && !chore->can_dry_run)
		return refuse_dry(chores, chore, err);
	if (!check_state(chores, chore, what->stop, now_ms, err))
		return false;
	if (look)
		return true;
	*ret = (struct usage_order){
		.id = 1 + random_below(ID_BOUND), .stop = what->stop, .dry_run = what->dry_run
	};
	CHECK(str_copy(name, ret->chore, sizeof(ret->chore)));
	member_chores_put_order(chores, ret, now_ms);
	return true;
}

struct usage_order *member_chores_orders(struct member_chores *chores, int64_t now_ms, size_t *ret_len)
{
	struct usage_order *orders;

	for (size_t i = chores->orders_len; i-- > 0;)
		if (chores->orders[i].until_ms <= now_ms)
			drop_order(chores, i);
	*ret_len = chores->orders_len;
	if (!chores->orders_len)
		return NULL;
	orders = xnew_array(struct usage_order, chores->orders_len);
	for (size_t i = 0; i < chores->orders_len; i++)
		orders[i] = chores->orders[i].order;
	return orders;
}

void member_chores_write(const struct member_chores *chores, struct json_writer *writer)
{
	json_open_array(writer);
	for (size_t i = 0; i < chores->len; i++)
		chore_view_write(&chores->rows[i], writer);
	json_close_array(writer);
}
