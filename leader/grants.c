/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grants - a pot for each (day, key) with the rows of those who hold of it, and a holder for each boot with
 * its rows: each row is in both lists, and in its holder's list of what is unused while something of it is.
 * Boots that are over are in the sums of the pot alone.
 */
#include "leader/grants.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/least.h"
#include "common/list.h"
#include "common/lock.h"
#include "common/map.h"
#include "proto/pack.h"

struct row {
	struct holder *holder;
	struct pot *pot;
	struct list in_holder, in_pot, in_unused;
	char *apikey;
	uint64_t granted, used;
	uint64_t reserved; /* by calls under way, as it said last */
	bool recall;
	bool heard; /* the holder knows these numbers from this process */
};

struct pot {
	char day[LIMITS_WINDOW_SIZE]; /* the window */
	uint64_t granted, used;       /* sums, of boots that are over too */
	uint64_t total, ungranted;
	struct list rows;
};

struct holder {
	char *boot;
	struct list rows, unused;
	struct map *by_name; /* day \n key -> row */
};

struct grants {
	struct lock lock;
	struct map *pots;    /* day \n key */
	struct map *holders; /* boot */
	size_t rows_len;
};

struct grants *grants_new(void)
{
	struct grants *grants = xnew(struct grants);

	lock_init(&grants->lock);
	grants->pots = map_new();
	grants->holders = map_new();
	return grants;
}

/* Finding. */

struct str grants_key(char into[GRANTS_KEY_MAX], const char *day, const char *apikey)
{
	int len = snprintf(into, GRANTS_KEY_MAX, "%s\n%s", day, apikey);

	CHECK(len > 0 && len < GRANTS_KEY_MAX);
	return str_from(into, (size_t)len);
}

static struct pot *pot_find(const struct grants *grants, const char *apikey, const char *day)
{
	char key[GRANTS_KEY_MAX];

	return map_find(grants->pots, grants_key(key, day, apikey));
}

static struct pot *pot_make(struct grants *grants, const char *apikey, const char *day)
{
	char key[GRANTS_KEY_MAX];
	struct str name = grants_key(key, day, apikey);
	struct pot *pot = map_find(grants->pots, name);

	if (pot)
		return pot;
	pot = xnew(struct pot);
	list_init(&pot->rows);
	CHECK(str_copy(str_of(day), pot->day, sizeof(pot->day)));
	(void)map_put(grants->pots, name, pot);
	return pot;
}

static struct holder *holder_find(const struct grants *grants, const char *boot)
{
	return map_find(grants->holders, str_of(boot));
}

static struct holder *holder_make(struct grants *grants, const char *boot)
{
	struct holder *holder = holder_find(grants, boot);

	if (holder)
		return holder;
	holder = xnew(struct holder);
	holder->boot = check_strdup(boot);
	list_init(&holder->rows);
	list_init(&holder->unused);
	holder->by_name = map_new();
	(void)map_put(grants->holders, str_of(boot), holder);
	return holder;
}

static struct row *row_find(
	const struct grants *grants, const char *boot, const char *apikey, const char *day)
{
	const struct holder *holder = holder_find(grants, boot);
	char key[GRANTS_KEY_MAX];

	return holder ? map_find(holder->by_name, grants_key(key, day, apikey)) : NULL;
}

static struct row *row_make(struct grants *grants, const char *boot, const char *apikey, const char *day)
{
	struct holder *holder = holder_make(grants, boot);
	char key[GRANTS_KEY_MAX];
	struct str name = grants_key(key, day, apikey);
	struct row *row = map_find(holder->by_name, name);

	if (row)
		return row;
	row = xnew(struct row);
	(void)map_put(holder->by_name, name, row);
	row->holder = holder;
	row->apikey = check_strdup(apikey);
	row->pot = pot_make(grants, apikey, day);
	list_push(&holder->rows, &row->in_holder);
	list_push(&row->pot->rows, &row->in_pot);
	grants->rows_len++;
	return row;
}

/* The one door for a row's numbers: the pot's sums and the list of what is unused follow. */
static void set_row(struct row *row, uint64_t granted, uint64_t used)
{
	row->pot->granted += granted - row->granted;
	row->pot->used += used - row->used;
	row->granted = granted;
	row->used = used;
	list_drop(&row->in_unused);
	if (granted > used)
		list_push(&row->holder->unused, &row->in_unused);
	else
		row->recall = false;
}

/* Of a boot that is over the pot's sums know. */
static void load_over(struct grants *grants, const struct ledger_grant *grant)
{
	struct pot *pot = pot_make(grants, grant->apikey, grant->day);
	uint64_t used = least(grant->used, LEDGER_GRANT_MAX);

	pot->granted += used;
	pot->used += used;
}

void grants_load(struct grants *grants, const struct ledger_grant *grant)
{
	uint64_t used = least(grant->used, LEDGER_GRANT_MAX);

	lock_take(&grants->lock);
	if (*grant->boot)
		set_row(row_make(grants, grant->boot, grant->apikey, grant->day),
			most(least(grant->granted, LEDGER_GRANT_MAX), used), used);
	else
		load_over(grants, grant);
	lock_drop(&grants->lock);
}

/* Forgetting. The row's numbers stay in its pot's sums. */

static void row_forget(struct grants *grants, struct row *row)
{
	char key[GRANTS_KEY_MAX];

	(void)map_delete(row->holder->by_name, grants_key(key, row->pot->day, row->apikey));
	list_drop(&row->in_holder);
	list_drop(&row->in_pot);
	list_drop(&row->in_unused);
	grants->rows_len--;
	free(row->apikey);
	free(row);
}

static void holder_free(struct holder *holder)
{
	map_free(holder->by_name);
	free(holder->boot);
	free(holder);
}

static void pot_empty(struct grants *grants, struct pot *pot)
{
	struct list *node;

	while ((node = list_first(&pot->rows)))
		row_forget(grants, LIST_OF(struct row, in_pot, node));
}

static void forget_holders(struct grants *grants)
{
	struct str key;
	void *value;

	for (size_t at = 0; map_next(grants->holders, &at, &key, &value);) {
		struct holder *holder = value;
		if (list_first(&holder->rows))
			continue;
		(void)map_delete(grants->holders, key);
		holder_free(holder);
	}
}

static bool is_over(const struct pot *pot, const char *oldest)
{
	enum limits_kind kind;
	bool stands = limits_window_parse(str_of(pot->day), &kind) && kind == LIMITS_SECOND;

	return stands ? !pot->granted : !limits_window_is_since(pot->day, oldest);
}

/* NULL: all. */
static void forget_days(struct grants *grants, const char *oldest)
{
	struct str key;
	void *value;

	for (size_t at = 0; map_next(grants->pots, &at, &key, &value);) {
		struct pot *pot = value;
		if (oldest && !is_over(pot, oldest))
			continue;
		pot_empty(grants, pot);
		(void)map_delete(grants->pots, key);
		free(pot);
	}
	forget_holders(grants);
}

void grants_forget(struct grants *grants, const char *oldest)
{
	lock_take(&grants->lock);
	forget_days(grants, oldest);
	lock_drop(&grants->lock);
}

void grants_free(struct grants *grants)
{
	if (!grants)
		return;
	forget_days(grants, NULL);
	map_free(grants->holders);
	map_free(grants->pots);
	lock_fini(&grants->lock);
	free(grants);
}

/* Staging. */

struct change {
	uint64_t total, ungranted, reserved;
	bool out;       /* it wanted, and nothing was available */
	bool heard;     /* what it is granted is what it said, and what is given now */
	bool gave_back; /* of what it was granted: the recall is obeyed, or void */
	bool gone;      /* its share went to somebody else */
};

struct grants_staged {
	struct grants *grants;
	char *boot;
	struct ledger_grant *rows;
	struct change *changes; /* beside rows */
	size_t len, room, new_rows;
	struct map *named;    /* day \n key */
	struct map *recalled; /* boots, or NULL */
	bool told_more;
};

struct grants_staged *grants_stage(struct grants *grants, const char *boot)
{
	struct grants_staged *staged = xnew(struct grants_staged);

	staged->grants = grants;
	staged->boot = check_strdup(boot);
	staged->named = map_new();
	return staged;
}

void grants_staged_free(struct grants_staged *staged)
{
	if (!staged)
		return;
	for (size_t i = 0; i < staged->len; i++) {
		free(staged->rows[i].apikey);
		free(staged->rows[i].boot);
	}
	free(staged->rows);
	free(staged->changes);
	map_free(staged->named);
	map_free(staged->recalled);
	free(staged->boot);
	free(staged);
}

static void widen(struct grants_staged *staged)
{
	size_t room = staged->room ? staged->room * 2 : 16;
	struct ledger_grant *rows = xnew_array(struct ledger_grant, room);
	struct change *changes = xnew_array(struct change, room);

	if (staged->len) {
		memcpy(rows, staged->rows, staged->len * sizeof(*rows));
		memcpy(changes, staged->changes, staged->len * sizeof(*changes));
	}
	free(staged->rows);
	free(staged->changes);
	staged->rows = rows;
	staged->changes = changes;
	staged->room = room;
}

static void note_row(struct grants_staged *staged, const char *boot, const struct usage_demand *demand,
	uint64_t granted, uint64_t used, struct change change)
{
	struct ledger_grant *row;

	if (staged->len == staged->room)
		widen(staged);
	staged->changes[staged->len] = change;
	row = &staged->rows[staged->len++];
	row->boot = check_strdup(boot);
	row->apikey = check_strdup(demand->apikey);
	memcpy(row->day, demand->day, sizeof(row->day));
	row->granted = granted;
	row->used = used;
}

/* What nobody has, where `row` were to hold so much: of all that is granted it does not matter how much was
 * used and merged by now, and calls that were no part of a grant are there beside it. */
static uint64_t available(
	const struct pot *pot, const struct row *row, uint64_t granted, const struct grants_terms *terms)
{
	uint64_t all_granted = (pot ? pot->granted : 0) - (row ? row->granted : 0) + granted;
	uint64_t taken = all_granted + least(terms->ungranted, LEDGER_GRANT_MAX);

	return terms->limit > taken ? terms->limit - taken : 0;
}

static uint64_t share(uint64_t left, unsigned live_workers)
{
	uint64_t part = left / (2 * (uint64_t)(live_workers ? live_workers : 1));

	return part ? part : least(left, 1);
}

/* How much it would like on top of `granted`. */
static uint64_t missing(const struct usage_demand *demand, uint64_t granted, const struct grants_terms *terms)
{
	uint64_t told = least(most(demand->granted, demand->used), LEDGER_GRANT_MAX);
	uint64_t goal = least(told + least(demand->want, LEDGER_GRANT_MAX), LEDGER_GRANT_MAX);

	return terms->final || goal < granted ? 0 : goal - granted;
}

/* What it holds before anything is given. */
static uint64_t held(
	const struct usage_demand *demand, uint64_t known, uint64_t used, const struct grants_terms *terms)
{
	uint64_t told = least(demand->granted, LEDGER_GRANT_MAX);

	if (terms->final)
		return used;
	if (terms->only_tells)
		return most(most(known, told), used);
	return demand->release ? used : most(told, used);
}

static bool is_share(const struct usage_demand *demand)
{
	enum limits_kind kind;

	return limits_window_parse(str_of(demand->day), &kind) && kind == LIMITS_SECOND;
}

/* Shares of who may not use them any more. Each is found once: it is gone when this is applied. */
static uint64_t take_from_silent(struct grants_staged *staged, const struct usage_demand *demand,
	const struct row *row, const struct pot *pot, const struct grants_terms *terms)
{
	uint64_t freed = 0;

	for (LIST_EACH(node, &pot->rows)) {
		const struct row *other = LIST_OF(struct row, in_pot, node);

		if (other == row || !other->granted || !terms->is_silent(terms->arg, other->holder->boot))
			continue;
		freed += other->granted;
		note_row(staged, other->holder->boot, demand, 0, 0, (struct change){ .gone = true });
	}
	return freed;
}

/* Others are to give back what they do not use. */
static bool less_than_needed(const struct usage_demand *demand, uint64_t more, uint64_t left)
{
	return !left || left < most(least(demand->waits, more), demand->needs);
}

/* Who waits gets what it waits for; of the rest everybody's part is kept. A part that is of use to none of its calls stays here until
 * it is enough for one: two that gather would take such parts from each other for ever. */
static uint64_t give(
	const struct usage_demand *demand, uint64_t more, uint64_t left, const struct grants_terms *terms)
{
	if (left < demand->needs)
		return 0;
	return least(more, most(share(left, terms->live_workers), least(demand->waits, left)));
}

static void judge(struct grants_staged *staged, const struct usage_demand *demand, const struct pot *pot,
	const struct row *row, const struct grants_terms *terms)
{
	uint64_t used = most(row ? row->used : 0, least(demand->used, LEDGER_GRANT_MAX));
	uint64_t known = row ? row->granted : 0;
	uint64_t granted = held(demand, known, used, terms);
	uint64_t more = terms->hold || terms->only_tells ? 0 : missing(demand, granted, terms);
	uint64_t left = terms->limit ? available(pot, row, granted, terms) : LEDGER_GRANT_MAX;
	struct change change = { .total = terms->total,
		.ungranted = least(terms->ungranted, LEDGER_GRANT_MAX),
		.reserved = terms->final ? 0 : least(demand->reserved, LEDGER_GRANT_MAX),
		.heard = !terms->only_tells,
		.gave_back = granted < known };

	if (pot && more > left && is_share(demand) && terms->is_silent)
		left += take_from_silent(staged, demand, row, pot, terms);
	change.out = more && less_than_needed(demand, more, left);
	if (terms->limit)
		more = give(demand, more, left, terms);
	/* Who is in need of more itself is asked for nothing. */
	change.gave_back |= is_share(demand) && more;
	staged->told_more |= !is_share(demand) && least(demand->granted, LEDGER_GRANT_MAX) > known;
	note_row(staged, staged->boot, demand, granted + more, used, change);
}

static bool stage_locked(
	struct grants_staged *staged, const struct usage_demand *demand, const struct grants_terms *terms)
{
	struct grants *grants = staged->grants;
	struct row *row = row_find(grants, staged->boot, demand->apikey, demand->day);

	lock_assert(&grants->lock);
	if (!row && grants->rows_len + staged->new_rows >= GRANTS_ROWS_MAX)
		return false;
	staged->new_rows += !row;
	judge(staged, demand, pot_find(grants, demand->apikey, demand->day), row, terms);
	return true;
}

bool grants_stage_demand(
	struct grants_staged *staged, const struct usage_demand *demand, const struct grants_terms *terms)
{
	char key[GRANTS_KEY_MAX];
	bool ok;

	if (map_put(staged->named, grants_key(key, demand->day, demand->apikey), staged))
		return true;
	lock_take(&staged->grants->lock);
	ok = stage_locked(staged, demand, terms);
	lock_drop(&staged->grants->lock);
	return ok;
}

bool grants_staged_told_more(const struct grants_staged *staged)
{
	return staged->told_more;
}

const struct ledger_grant *grants_staged_rows(const struct grants_staged *staged, size_t *ret_len)
{
	*ret_len = staged->len;
	return staged->rows;
}

/* Stored by another leader. */

void grants_staged_note(const struct grants_staged *staged, struct buf *into)
{
	pack_array(into, staged->len);
	for (size_t i = 0; i < staged->len; i++) {
		pack_array(into, 7);
		pack_uint(into, staged->changes[i].total);
		pack_uint(into, staged->changes[i].ungranted);
		pack_bool(into, staged->changes[i].out);
		pack_bool(into, staged->changes[i].heard);
		pack_bool(into, staged->changes[i].gave_back);
		pack_bool(into, staged->changes[i].gone);
		pack_uint(into, staged->changes[i].reserved);
	}
}

static struct change noted(const struct pack_node *row)
{
	struct change change = { 0 };

	(void)!pack_get_uint(pack_at(row, 0), &change.total);
	(void)!pack_get_uint(pack_at(row, 1), &change.ungranted);
	(void)!pack_get_bool(pack_at(row, 2), &change.out);
	(void)!pack_get_bool(pack_at(row, 3), &change.heard);
	(void)!pack_get_bool(pack_at(row, 4), &change.gave_back);
	(void)!pack_get_bool(pack_at(row, 5), &change.gone);
	(void)!pack_get_uint(pack_at(row, 6), &change.reserved);
	return change;
}

struct grants_staged *grants_stage_stored(
	struct grants *grants, const struct ledger_merge *stored, const struct pack_node *note)
{
	struct grants_staged *staged = grants_stage(grants, stored->boot);

	for (size_t i = 0; i < stored->grants_len; i++) {
		const struct ledger_grant *row = &stored->grants[i];
		struct usage_demand of = { .apikey = row->apikey };
		memcpy(of.day, row->day, sizeof(of.day));
		note_row(staged, row->boot, &of, row->granted, row->used, noted(pack_at(note, i)));
	}
	return staged;
}

/* Applying. */

static void recall(struct grants_staged *staged, struct row *row)
{
	if (row->recall)
		return;
	row->recall = true;
	if (!staged->recalled)
		staged->recalled = map_new();
	(void)map_put(staged->recalled, str_of(row->holder->boot), row);
}

static void recall_from_others(struct grants_staged *staged, const struct row *row)
{
	for (LIST_EACH(node, &row->pot->rows)) {
		struct row *other = LIST_OF(struct row, in_pot, node);
		if (other != row && other->granted > other->used)
			recall(staged, other);
	}
}

static void apply_row(struct grants_staged *staged, const struct ledger_grant *grant, struct change change)
{
	struct grants *grants = staged->grants;
	struct row *row = row_make(grants, grant->boot, grant->apikey, grant->day);

	set_row(row, grant->granted, grant->used);
	if (change.gone) {
		row_forget(grants, row);
		return;
	}
	row->reserved = change.reserved;
	row->recall &= !change.gave_back;
	row->heard |= change.heard;
	row->pot->total = most(row->pot->total, change.total);
	row->pot->ungranted = most(row->pot->ungranted, change.ungranted);
	if (change.out)
		recall_from_others(staged, row);
}

static void end_boot(struct grants *grants, const char *boot)
{
	struct holder *holder = map_delete(grants->holders, str_of(boot));
	struct list *node;

	while (holder && (node = list_first(&holder->rows))) {
		struct row *row = LIST_OF(struct row, in_holder, node);
		set_row(row, row->used, row->used);
		row_forget(grants, row);
	}
	if (holder)
		holder_free(holder);
}

void grants_apply(struct grants *grants, struct grants_staged *staged, bool over)
{
	lock_take(&grants->lock);
	for (size_t i = 0; i < staged->len; i++)
		apply_row(staged, &staged->rows[i], staged->changes[i]);
	if (over)
		end_boot(grants, staged->boot);
	lock_drop(&grants->lock);
}

const struct map *grants_staged_recalled(const struct grants_staged *staged)
{
	return staged->recalled;
}

/* Looking. */

static struct grants_row seen(const struct row *row)
{
	return (struct grants_row){ .apikey = row->apikey,
		.day = row->pot->day,
		.granted = row->granted,
		.used = row->used,
		.total = most(row->pot->total, row->pot->used + row->pot->ungranted),
		.ungranted = row->pot->ungranted,
		.all_granted = row->pot->granted,
		.recall = row->recall };
}

bool grants_look(
	struct grants *grants, const char *boot, const char *apikey, const char *day, struct grants_row *ret)
{
	const struct row *row;

	lock_take(&grants->lock);
	row = row_find(grants, boot, apikey, day);
	if (row)
		*ret = seen(row);
	lock_drop(&grants->lock);
	if (!row)
		return false;
	ret->apikey = apikey;
	ret->day = day;
	return true;
}

static uint64_t unused_of(const struct row *row)
{
	uint64_t taken = row->used + least(row->reserved, LEDGER_GRANT_MAX);

	return row->granted > taken ? row->granted - taken : 0;
}

static uint64_t coming_locked(struct grants *grants, const char *boot, const struct usage_demand *demand,
	const struct grants_terms *terms)
{
	const struct pot *pot = pot_find(grants, demand->apikey, demand->day);
	uint64_t coming = 0;

	lock_assert(&grants->lock);
	if (!pot)
		return 0;
	coming = available(pot, NULL, 0, terms);
	for (LIST_EACH(node, &pot->rows)) {
		const struct row *row = LIST_OF(struct row, in_pot, node);
		uint64_t unused = strcmp(row->holder->boot, boot) ? unused_of(row) : 0;

		if (unused && !terms->is_silent(terms->arg, row->holder->boot))
			coming += least(unused, LEDGER_GRANT_MAX - coming);
	}
	return coming;
}

uint64_t grants_coming(struct grants *grants, const char *boot, const struct usage_demand *demand,
	const struct grants_terms *terms)
{
	uint64_t coming;

	lock_take(&grants->lock);
	coming = coming_locked(grants, boot, demand, terms);
	lock_drop(&grants->lock);
	return coming;
}

void grants_each_unused(struct grants *grants, const char *boot, grants_each_f *fn, void *arg)
{
	struct holder *holder;

	lock_take(&grants->lock);
	holder = holder_find(grants, boot);
	if (holder)
		for (LIST_EACH(node, &holder->unused)) {
			const struct row *one = LIST_OF(struct row, in_unused, node);
			struct grants_row row = seen(one);
			if (one->heard && !fn(arg, &row))
				break;
		}
	lock_drop(&grants->lock);
}

struct grants_sums grants_sums(struct grants *grants, const char *subject, const char *window)
{
	struct grants_sums sums = { 0 };
	const struct pot *pot;

	lock_take(&grants->lock);
	pot = pot_find(grants, subject, window);
	if (pot)
		sums = (struct grants_sums){ pot->granted, pot->used };
	lock_drop(&grants->lock);
	return sums;
}

uint64_t grants_granted(struct grants *grants, const char *apikey, const char *day)
{
	return grants_sums(grants, apikey, day).granted;
}

/* What boots that are over have used is in the pot alone. */
static uint64_t used_of_others(const struct pot *pot)
{
	uint64_t used = pot->used;

	for (LIST_EACH(node, &pot->rows))
		used -= LIST_OF(struct row, in_pot, node)->used;
	return used;
}

static void each_of_pot(struct pot *pot, struct str name, grants_row_f *fn, void *arg)
{
	struct ledger_grant grant = { .granted = used_of_others(pot), .used = used_of_others(pot) };
	struct str window;
	char nobody[] = "";

	CHECK(str_until(&name, '\n', &window) && str_copy(window, grant.day, sizeof(grant.day)));
	AUTO_STR *subject = str_dup(name);
	grant.boot = nobody;
	grant.apikey = subject;
	if (grant.used)
		fn(arg, &grant);
	for (LIST_EACH(node, &pot->rows)) {
		const struct row *row = LIST_OF(struct row, in_pot, node);
		grant.boot = row->holder->boot;
		grant.granted = row->granted;
		grant.used = row->used;
		fn(arg, &grant);
	}
}

void grants_each(struct grants *grants, grants_row_f *fn, void *arg)
{
	struct str name;
	void *value;

	lock_take(&grants->lock);
	for (size_t at = 0; map_next(grants->pots, &at, &name, &value);)
		each_of_pot(value, name, fn, arg);
	lock_drop(&grants->lock);
}
