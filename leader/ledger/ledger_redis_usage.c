/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_redis_usage - members and usage of the Redis driver.
 *
 * Sums are added here and stored as they are then, so an entry that is stored again changes nothing. They stop at INT64_MAX.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/map.h"
#include "leader/ledger/ledger_redis.h"

#define SUMS LEDGER_REDIS_SUMS

static void add(uint64_t *sum, uint64_t more)
{
	*sum = more > INT64_MAX - *sum ? INT64_MAX : *sum + more;
}

void ledger_redis_sums_add(struct ledger_redis_sums *into, const struct ledger_redis_sums *more)
{
	for (size_t i = 0; i < SUMS; i++)
		add(&into->at[i], more->at[i]);
}

/* What is not there is 0. */
struct ledger_redis_sums ledger_redis_sums_of(struct str text)
{
	struct ledger_redis_sums sums = { 0 };
	struct str word;

	for (size_t i = 0; i < SUMS && str_next(&text, ' ', &word); i++)
		(void)!str_to_number(word, INT64_MAX, &sums.at[i]);
	return sums;
}

static void put_sums(const struct ledger_redis *own, const char *key, const char *field,
	const struct ledger_redis_sums *sums, struct ledger_redis_effects *effects)
{
	char text[96];

	(void)snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, sums->at[0],
		sums->at[1], sums->at[2], sums->at[3]);
	ledger_redis_change(own, effects, "HSET", key, 2);
	ledger_redis_change_text(effects, field);
	ledger_redis_change_text(effects, text);
}

/* Members. */

static void put_member(const struct ledger_redis *own, const struct ledger_member *member,
	struct ledger_redis_effects *effects)
{
	AUTO_FINI(buf) packed = buf_limit(LEDGER_REDIS_ENTRY_MAX);

	ledger_redis_member_encode(member, &packed);
	ledger_redis_change(own, effects, "HSET", "members", 2);
	ledger_redis_change_text(effects, member->name);
	ledger_redis_effect_word(effects, buf_str(&packed));
}

bool ledger_redis_put_member(struct ledger *ledger, const struct ledger_member *member, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	struct ledger_entry entry = { .member = member };
	struct ledger_redis_effects effects;
	bool ok;

	ledger_redis_effects_init(&effects);
	put_member(own, member, &effects);
	ok = ledger_redis_commit_plain(own, &effects, &entry, err);
	ledger_redis_effects_fini(&effects);
	return ok;
}

bool ledger_redis_delete_member(
	struct ledger *ledger, const char *name, const struct ledger_audit *audit, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	struct ledger_entry entry = { .forgotten = name };
	struct ledger_redis_audit rows = { 0 };
	struct ledger_redis_effects effects;
	bool ok;

	ledger_redis_effects_init(&effects);
	ledger_redis_change(own, &effects, "HDEL", "members", 1);
	ledger_redis_change_text(&effects, name);
	ok = (!audit || ledger_redis_add_audit(own, &rows, audit, &effects, err)) &&
	     ledger_redis_commit_plain(own, &effects, &entry, err);
	ledger_redis_effects_fini(&effects);
	return ok;
}

/* What a report adds: the rows of one hash, each field once. */

struct delta {
	char *key, *field; /* of Redis */
	struct ledger_redis_sums sums;
};
struct deltas {
	struct map *by_name; /* "<key>\n<field>" -> struct delta */
};

static void add_delta(
	struct deltas *deltas, const char *key, const char *field, const struct ledger_redis_sums *sums)
{
	AUTO_FINI(buf) name = buf_limit(4096);
	struct delta *delta;

	buf_format(&name, "%s\n%s", key, field);
	delta = map_find(deltas->by_name, buf_str(&name));
	if (!delta) {
		delta = xnew(struct delta);
		delta->key = check_strdup(key);
		delta->field = check_strdup(field);
		(void)map_put(deltas->by_name, buf_str(&name), delta);
	}
	ledger_redis_sums_add(&delta->sums, sums);
}

static void add_row(struct deltas *deltas, const struct usage_row *row)
{
	struct ledger_sum parts[LEDGER_SUMS];
	size_t len = ledger_sums(row, parts);
	char key[32];

	for (size_t i = 0; i < len; i++) {
		const struct ledger_redis_sums sums = { { parts[i].calls, parts[i].bytes_in,
			parts[i].bytes_out, parts[i].ungranted } };

		(void)snprintf(key, sizeof(key), "usage:%.*s", LIMITS_WINDOW_SIZE - 1, parts[i].window);
		add_delta(deltas, key, row->apikey, &sums);
	}
}

static void gather(struct deltas *deltas, const struct ledger_merge *merge)
{
	deltas->by_name = map_new();
	for (size_t i = 0; i < merge->rows_len; i++)
		add_row(deltas, &merge->rows[i]);
	for (size_t i = 0; i < merge->repositories_len; i++) {
		const struct usage_repository *row = &merge->repositories[i];
		const struct ledger_redis_sums sums = { { row->pulls, row->pushes, row->bytes_in,
			row->bytes_out } };

		add_delta(deltas, "repositories", row->name, &sums);
	}
}

static void deltas_fini(struct deltas *deltas)
{
	struct delta *delta;
	size_t at = 0;
	void *value;

	while (deltas->by_name && map_next(deltas->by_name, &at, NULL, &value)) {
		delta = value;
		free(delta->key);
		free(delta->field);
		free(delta);
	}
	map_free(deltas->by_name);
}

static void put_delta(struct ledger_redis *own, struct delta *delta, const struct redis_reply *reply,
	struct ledger_redis_effects *effects)
{
	struct ledger_redis_sums stored = ledger_redis_sums_of(redis_reply_str(reply));
	struct str window = str_of(delta->key);

	ledger_redis_sums_add(&delta->sums, &stored);
	put_sums(own, delta->key, delta->field, &delta->sums, effects);
	if (!str_skip(&window, "usage:"))
		return;
	ledger_redis_change(own, effects, "SADD", "windows", 1);
	ledger_redis_effect_word(effects, window);
}

/* All that is there is read in one go. */
static bool put_deltas(struct ledger_redis *own, struct deltas *deltas, struct ledger_redis_effects *effects,
	struct error *err)
{
	size_t len = map_len(deltas->by_name), at = 0, i = 0;
	struct redis_call **calls = xnew_array(struct redis_call *, len + 1);
	struct redis_reply **replies = xnew_array(struct redis_reply *, len + 1);
	void *value;
	bool ok;

	while (map_next(deltas->by_name, &at, NULL, &value)) {
		const struct delta *delta = value;

		calls[i] = ledger_redis_call(own, "HGET", delta->key);
		redis_call_text(calls[i++], delta->field);
	}
	ok = !len || redis_run_all(own->redis, calls, len, replies, err);
	for (at = i = 0; ok && map_next(deltas->by_name, &at, NULL, &value); i++)
		put_delta(own, value, replies[i], effects);
	for (i = 0; i < len; i++) {
		redis_call_free(calls[i]);
		if (ok)
			redis_reply_free(replies[i]);
	}
	free(calls);
	free(replies);
	return ok;
}

static bool put_counts(struct ledger_redis *own, const struct ledger_merge *merge,
	struct ledger_redis_effects *effects, struct error *err)
{
	AUTO_FINI(deltas) deltas = { 0 };

	gather(&deltas, merge);
	return put_deltas(own, &deltas, effects, err);
}

struct merging {
	struct ledger_redis_boots boots;
	struct ledger_redis_effects effects;
	struct ledger_merged merged;
	struct ledger_life life;
};

static bool merge_parts(
	struct ledger_redis *own, const struct ledger_merge *merge, struct merging *m, struct error *err)
{
	const struct ledger_boot *boot = &m->boots.known;
	bool deals = merge->grants_len || merge->registers;

	if (!ledger_redis_may_read(own, err) || !ledger_redis_read_boot(own, merge->boot, &m->boots, err))
		return false;
	m->merged.added = !merge->seq || boot->seq <= merge->after;
	m->merged.partly = !m->merged.added && boot->seq < merge->seq;
	if (m->merged.added && merge->seq && !put_counts(own, merge, &m->effects, err))
		return false;
	if (!ledger_redis_merge_boots(own, merge, &m->boots, m->merged.added, &m->effects, err))
		return false;
	ledger_redis_merge_grants(own, merge, &m->effects);
	if (merge->member)
		put_member(own, merge->member, &m->effects);
	m->life = own->life;
	m->life.dealings += deals;
	m->merged.dealings = m->life.dealings;
	if (deals)
		ledger_redis_put_life(own, &m->effects, &m->life);
	return true;
}

bool ledger_redis_merge_usage(
	struct ledger *ledger, const struct ledger_merge *merge, struct ledger_merged *ret, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	struct ledger_entry entry = { .merge = merge };
	struct merging m = { 0 };
	bool ok;

	ledger_redis_effects_init(&m.effects);
	ok = merge_parts(own, merge, &m, err);
	entry.dealings = m.merged.dealings;
	ok = ok && ledger_redis_commit_plain(own, &m.effects, &entry, err);
	ledger_redis_effects_fini(&m.effects);
	if (!ok)
		return false;
	own->life.dealings = m.life.dealings;
	ledger_redis_prune(own);
	ledger_redis_forget_names(own);
	*ret = m.merged;
	return true;
}

/* Looking. */

bool ledger_redis_calls(struct ledger *ledger, const struct ledger_key_day *at, size_t len,
	struct ledger_calls *ret, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	struct redis_call **calls = xnew_array(struct redis_call *, len + 1);
	struct redis_reply **replies = xnew_array(struct redis_reply *, len + 1);
	bool ok;

	for (size_t i = 0; i < len; i++) {
		calls[i] = redis_call_new("HGET");
		redis_call_text(calls[i], ledger_redis_key(own, "usage:%s", at[i].day).text);
		redis_call_text(calls[i], at[i].apikey);
	}
	ok = ledger_redis_may_read(own, err) && (!len || redis_run_all(own->redis, calls, len, replies, err));
	for (size_t i = 0; i < len; i++) {
		redis_call_free(calls[i]);
		if (!ok)
			continue;
		struct ledger_redis_sums sums = ledger_redis_sums_of(redis_reply_str(replies[i]));
		ret[i] = (struct ledger_calls){ sums.at[0], sums.at[3] };
		redis_reply_free(replies[i]);
	}
	free(calls);
	free(replies);
	return ok;
}
