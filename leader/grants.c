/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grants - a pot for each (day, key) with the rows of those who hold of it, and a holder for each (worker,
 * boot) with its rows: each row is in both lists.
 */
#include "leader/grants.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/map.h"

#define KEY_MAX 600 /* two names of 255 bytes and a day */

struct row {
	struct store_grant grant;
	struct row *next_of_pot, *next_of_holder;
	struct pot *pot;
	bool recall;
};

struct pot {
	char day[11];
	uint64_t granted; /* sum of the rows */
	struct row *rows;
};

struct holder {
	struct row *rows;
	struct map *by_name; /* day \n key -> row */
	char *worker, *boot;
};

struct grants {
	struct map *pots;    /* day \n key */
	struct map *holders; /* worker \n boot */
};

struct grants *grants_new(void)
{
	struct grants *grants = xnew(struct grants);

	grants->pots = map_new();
	grants->holders = map_new();
	return grants;
}

static void row_free(struct row *row)
{
	free(row->grant.apikey);
	free(row);
}

static void holder_free(struct holder *holder)
{
	while (holder->rows) {
		struct row *row = holder->rows;
		holder->rows = row->next_of_holder;
		row_free(row);
	}
	map_free(holder->by_name);
	free(holder->worker);
	free(holder->boot);
	free(holder);
}

void grants_free(struct grants *grants)
{
	void *value;

	if (!grants)
		return;
	for (size_t at = 0; map_next(grants->holders, &at, NULL, &value);)
		holder_free(value);
	for (size_t at = 0; map_next(grants->pots, &at, NULL, &value);)
		free(value);
	map_free(grants->holders);
	map_free(grants->pots);
	free(grants);
}

/* Finding. */

static struct str key_of(char into[KEY_MAX], const char *first, const char *second)
{
	int len = snprintf(into, KEY_MAX, "%s\n%s", first, second);

	CHECK(len > 0 && len < KEY_MAX);
	return str_from(into, (size_t)len);
}

static struct pot *pot_find(const struct grants *grants, const char *apikey, const char *day)
{
	char key[KEY_MAX];

	return map_find(grants->pots, key_of(key, day, apikey));
}

static struct pot *pot_make(struct grants *grants, const char *apikey, const char *day)
{
	char key[KEY_MAX];
	struct str name = key_of(key, day, apikey);
	struct pot *pot = map_find(grants->pots, name);

	if (pot)
		return pot;
	pot = xnew(struct pot);
	CHECK(str_copy(str_of(day), pot->day, sizeof(pot->day)));
	(void)map_put(grants->pots, name, pot);
	return pot;
}

static struct holder *holder_find(const struct grants *grants, const char *worker, const char *boot)
{
	char key[KEY_MAX];

	return map_find(grants->holders, key_of(key, worker, boot));
}

static struct holder *holder_make(struct grants *grants, const char *worker, const char *boot)
{
	char key[KEY_MAX];
	struct str name = key_of(key, worker, boot);
	struct holder *holder = map_find(grants->holders, name);

	if (holder)
		return holder;
	holder = xnew(struct holder);
	holder->by_name = map_new();
	holder->worker = check_strdup(worker);
	holder->boot = check_strdup(boot);
	(void)map_put(grants->holders, name, holder);
	return holder;
}

static struct row *row_make(
	struct grants *grants, const char *worker, const char *boot, const char *apikey, const char *day)
{
	struct holder *holder = holder_make(grants, worker, boot);
	char key[KEY_MAX];
	struct str name = key_of(key, day, apikey);
	struct row *row = map_find(holder->by_name, name);

	if (row)
		return row;
	row = xnew(struct row);
	(void)map_put(holder->by_name, name, row);
	row->grant.worker = holder->worker;
	row->grant.boot = holder->boot;
	row->grant.apikey = check_strdup(apikey);
	CHECK(str_copy(str_of(day), row->grant.day, sizeof(row->grant.day)));
	row->pot = pot_make(grants, apikey, day);
	row->next_of_holder = holder->rows;
	holder->rows = row;
	row->next_of_pot = row->pot->rows;
	row->pot->rows = row;
	return row;
}

/* The one door for what is granted: the pot's sum follows. */
static void set_granted(struct row *row, uint64_t granted)
{
	row->pot->granted = row->pot->granted - row->grant.granted + granted;
	row->grant.granted = granted;
	if (row->grant.granted == row->grant.used)
		row->recall = false;
}

void grants_load(struct grants *grants, const struct store_grant *grant)
{
	struct row *row = row_make(grants, grant->worker, grant->boot, grant->apikey, grant->day);

	row->grant.used = grant->used;
	row->grant.finished = grant->finished;
	set_granted(row, grant->granted);
}

/* Forgetting. */

static void unlink_from_pot(struct row *row)
{
	struct row **at = &row->pot->rows;

	while (*at != row)
		at = &(*at)->next_of_pot;
	*at = row->next_of_pot;
	row->pot->granted -= row->grant.granted;
}

static void holder_forget(struct holder *holder, const char *oldest)
{
	char key[KEY_MAX];

	for (struct row **at = &holder->rows; *at;) {
		struct row *row = *at;
		if (strcmp(row->grant.day, oldest) >= 0) {
			at = &row->next_of_holder;
			continue;
		}
		*at = row->next_of_holder;
		(void)map_delete(holder->by_name, key_of(key, row->grant.day, row->grant.apikey));
		unlink_from_pot(row);
		row_free(row);
	}
}

void grants_forget(struct grants *grants, const char *oldest)
{
	struct str key;
	void *value;

	for (size_t at = 0; map_next(grants->holders, &at, &key, &value);) {
		holder_forget(value, oldest);
		if (!((struct holder *)value)->rows) {
			(void)map_delete(grants->holders, key);
			holder_free(value);
		}
	}
	for (size_t at = 0; map_next(grants->pots, &at, &key, &value);) {
		if (!((struct pot *)value)->rows) {
			(void)map_delete(grants->pots, key);
			free(value);
		}
	}
}

/* Dealing. */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t available(const struct pot *pot, uint64_t limit)
{
	return limit > pot->granted ? limit - pot->granted : 0;
}

static uint64_t share(uint64_t left, unsigned live_workers)
{
	uint64_t part = left / (2 * (uint64_t)(live_workers ? live_workers : 1));

	return part ? part : least(left, 1);
}

static void recall_from_others(const struct row *row)
{
	for (struct row *other = row->pot->rows; other; other = other->next_of_pot)
		if (other != row && !other->grant.finished && other->grant.granted > other->grant.used)
			other->recall = true;
}

/* A copy of a push asks for what its first one may have got already. */
static uint64_t wanted(const struct row *row, const struct usage_demand *demand, bool repeated)
{
	uint64_t unused = row->grant.granted - row->grant.used;

	if (row->grant.finished)
		return 0;
	if (repeated)
		return demand->want > unused ? demand->want - unused : 0;
	return least(demand->want, INT64_MAX - least(row->grant.granted, INT64_MAX));
}

static void give(struct row *row, uint64_t want, const struct grants_terms *terms)
{
	uint64_t amount = want;

	if (terms->limit)
		amount = least(want, share(available(row->pot, terms->limit), terms->live_workers));
	if (amount)
		set_granted(row, row->grant.granted + amount);
	else if (want)
		recall_from_others(row);
}

/* What was admitted is a fact, even if nothing is known of the grant for it: the store may have been
 * restored. */
static void note_used(struct row *row, uint64_t used)
{
	if (used > row->grant.used)
		row->grant.used = used;
	set_granted(row, row->grant.granted > row->grant.used ? row->grant.granted : row->grant.used);
}

void grants_demand(struct grants *grants, const char *worker, const char *boot,
	const struct usage_demand *demand, const struct grants_terms *terms, const struct store_grant **ret)
{
	struct row *row = row_make(grants, worker, boot, demand->apikey, demand->day);

	note_used(row, demand->used);
	if (demand->release && !terms->repeated)
		set_granted(row, row->grant.used);
	give(row, wanted(row, demand, terms->repeated), terms);
	*ret = &row->grant;
}

void grants_finish(struct grants *grants, const char *worker, const char *boot, store_grant_f *fn, void *arg)
{
	struct holder *holder = holder_find(grants, worker, boot);

	for (struct row *row = holder ? holder->rows : NULL; row; row = row->next_of_holder) {
		set_granted(row, row->grant.used);
		row->grant.finished = true;
		(void)fn(arg, &row->grant);
	}
}

void grants_each(struct grants *grants, const char *worker, const char *boot, grants_each_f *fn, void *arg)
{
	struct holder *holder = holder_find(grants, worker, boot);

	for (struct row *row = holder ? holder->rows : NULL; row; row = row->next_of_holder)
		fn(arg, &row->grant, row->recall);
}

uint64_t grants_granted(const struct grants *grants, const char *apikey, const char *day)
{
	const struct pot *pot = pot_find(grants, apikey, day);

	return pot ? pot->granted : 0;
}
