/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_redis_grants - boots and their grants in the Redis driver.
 *
 * What a boot held counts as used when the boot is over; its rows are folded afterwards, a few at a time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "leader/ledger/ledger_redis.h"
#include "proto/usage.h"

#define FOLDED 2

/* Boots: "<seq> <number> <finished> <gone> <seen> <worker>". */

static struct ledger_redis_boots boots_of(struct str text)
{
	uint64_t at[4] = { 0 };
	struct str word;

	for (size_t i = 0; i < 4 && str_until(&text, ' ', &word); i++)
		(void)!str_to_number(word, INT64_MAX, &at[i]);
	struct ledger_redis_boots boots = {
		.known = { .seq = at[0], .number = at[1], .finished = at[2] != 0, .gone = at[3] != 0 },
		.finished = (unsigned)at[2]
	};
	(void)!str_copy(text.at ? text : STR(""), boots.worker, sizeof(boots.worker));
	return boots;
}

bool ledger_redis_read_boot(
	struct ledger_redis *own, const char *boot, struct ledger_redis_boots *ret, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, "HGET", "boots");
	AUTO(redis_reply) *reply = NULL;

	redis_call_text(call, boot);
	if (!redis_run(own->redis, call, &reply, err))
		return false;
	*ret = boots_of(redis_reply_str(reply));
	return true;
}

bool ledger_redis_boot(struct ledger *ledger, const char *boot, struct ledger_boot *ret, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	struct ledger_redis_boots boots;

	if (!ledger_redis_may_read(own, err) || !ledger_redis_read_boot(own, boot, &boots, err))
		return false;
	*ret = boots.known;
	return true;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void put_score(const struct ledger_redis *own, const char *key, const char *boot, uint64_t seen,
	struct ledger_redis_effects *effects)
{
	ledger_redis_change(own, effects, "ZADD", key, 2);
	ledger_redis_change_number(effects, seen);
	ledger_redis_change_text(effects, boot);
}

/* Nothing of a boot ever goes back. */
static void raise_boot(const struct ledger_redis *own, const char *worker, const char *boot,
	const struct ledger_redis_boots *known, const struct ledger_boot *told,
	struct ledger_redis_effects *effects)
{
	AUTO_FINI(buf) text = buf_limit(4096);
	unsigned finished = known->finished > told->finished ? known->finished : told->finished;
	bool gone = known->known.gone || told->gone;
	uint64_t seen = (uint64_t)clock_wall_s();

	buf_format(&text, "%" PRIu64 " %" PRIu64 " %u %d %" PRIu64 " %s", larger(known->known.seq, told->seq),
		larger(known->known.number, told->number), finished, gone, seen, worker);
	ledger_redis_change(own, effects, "HSET", "boots", 2);
	ledger_redis_change_text(effects, boot);
	ledger_redis_effect_word(effects, buf_str(&text));
	put_score(own, "seen", boot, seen, effects);
	if (gone)
		put_score(own, "gone", boot, seen, effects);
	if (finished != 1)
		return;
	ledger_redis_change(own, effects, "SADD", "over", 1);
	ledger_redis_change_text(effects, boot);
}

bool ledger_redis_merge_boots(struct ledger_redis *own, const struct ledger_merge *merge,
	const struct ledger_redis_boots *known, bool added, struct ledger_redis_effects *effects,
	struct error *err)
{
	struct ledger_boot told = {
		.seq = added ? merge->seq : 0, .number = merge->number, .finished = merge->finished
	};
	struct ledger_boot gone = { .gone = true };
	struct ledger_redis_boots process;

	if (merge->gone && strcmp(merge->boot, merge->process) == 0)
		told.gone = true;
	raise_boot(own, merge->worker, merge->boot, known, &told, effects);
	if (!merge->gone || told.gone)
		return true;
	if (!ledger_redis_read_boot(own, merge->process, &process, err))
		return false;
	raise_boot(own, merge->worker, merge->process, &process, &gone, effects);
	return true;
}

/* Grants. */

static void put_row(const struct ledger_redis *own, const char *key, struct str apikey, uint64_t granted,
	uint64_t used, struct ledger_redis_effects *effects)
{
	char text[48];

	(void)snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, granted, used);
	ledger_redis_change(own, effects, "HSET", key, 2);
	ledger_redis_effect_word(effects, apikey);
	ledger_redis_change_text(effects, text);
}

struct grants_key {
	char text[USAGE_NAME_MAX + LIMITS_WINDOW_SIZE + 16];
};

static struct grants_key grants_key(const char *day, const char *boot)
{
	struct grants_key key;

	CHECK(snprintf(key.text, sizeof(key.text), "grants:%s:%s", day, boot) < (int)sizeof(key.text));
	return key;
}

static void put_grants_of(const struct ledger_redis *own, const char *day, const char *boot,
	struct ledger_redis_effects *effects)
{
	AUTO_FINI(buf) name = buf_limit(USAGE_NAME_MAX + 32);

	buf_format(&name, "%s %s", day, boot);
	ledger_redis_change(own, effects, "SADD", "grants", 1);
	ledger_redis_effect_word(effects, buf_str(&name));
}

void ledger_redis_merge_grants(const struct ledger_redis *own, const struct ledger_merge *merge,
	struct ledger_redis_effects *effects)
{
	for (size_t i = 0; i < merge->grants_len; i++) {
		const struct ledger_grant *grant = &merge->grants[i];

		put_row(own, grants_key(grant->day, grant->boot).text, str_of(grant->apikey), grant->granted,
			grant->used, effects);
		put_grants_of(own, grant->day, grant->boot, effects);
	}
}

/* Those of one moment and of windows since a day (limits_window_is_since()): {n of the head, {boots that are over}, {day and boot, {key, row, ...}}, ...}. */
static const char read_grants[] =
	"local all = { redis.call('HGET', KEYS[1], 'n'), redis.call('SMEMBERS', KEYS[2]) } "
	"for _, name in ipairs(redis.call('SMEMBERS', KEYS[3])) do "
	" local window, boot = string.match(name, '^(%S+) (.*)$') "
	" if window and window >= (#window == 10 and ARGV[1] or string.sub(ARGV[1], 1, 7)) then "
	"  all[#all + 1] = { name, redis.call('HGETALL', KEYS[3] .. ':' .. window .. ':' .. boot) } "
	" end "
	"end "
	"return all";

static struct redis_call *grants_call(const struct ledger_redis *own, const char *day)
{
	struct redis_call *call = redis_call_new("EVAL");

	redis_call_text(call, read_grants);
	redis_call_number(call, 3);
	redis_call_text(call, ledger_redis_key(own, "head").text);
	redis_call_text(call, ledger_redis_key(own, "over").text);
	redis_call_text(call, ledger_redis_key(own, "grants").text);
	redis_call_text(call, day);
	return call;
}

static bool is_among(const struct redis_reply *names, struct str name)
{
	for (size_t i = 0; i < redis_reply_len(names); i++)
		if (str_equal(redis_reply_str(redis_reply_at(names, i)), name))
			return true;
	return false;
}

static bool parse_row(struct str text, uint64_t *ret_granted, uint64_t *ret_used)
{
	struct str granted;

	return str_until(&text, ' ', &granted) && str_to_number(granted, INT64_MAX, ret_granted) &&
	       str_to_number(text, INT64_MAX, ret_used);
}

static bool tell_grants(
	const struct redis_reply *part, const struct redis_reply *over, ledger_grant_f *fn, void *arg)
{
	struct str boot = redis_reply_str(redis_reply_at(part, 0)), day;
	const struct redis_reply *rows = redis_reply_at(part, 1);
	bool more = str_until(&boot, ' ', &day), finished = is_among(over, boot);

	for (size_t i = 0; more && i + 1 < redis_reply_len(rows); i += 2) {
		AUTO_STR *boot_text = str_dup(boot);
		AUTO_STR *apikey = str_dup(redis_reply_str(redis_reply_at(rows, i)));
		struct ledger_grant grant = { .boot = boot_text, .apikey = apikey };

		if (!str_copy(day, grant.day, sizeof(grant.day)) ||
			!parse_row(redis_reply_str(redis_reply_at(rows, i + 1)), &grant.granted, &grant.used))
			continue;
		if (finished)
			grant.granted = grant.used;
		more = fn(arg, &grant);
	}
	return more;
}

bool ledger_redis_load_grants(
	struct ledger *ledger, const char *day, ledger_grant_f *fn, void *arg, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	AUTO(redis_call) *call = grants_call(own, day);
	AUTO(redis_reply) *reply = NULL;
	bool more = true;

	if (!ledger_redis_may_read(own, err) || !redis_run(own->redis, call, &reply, err))
		return false;
	own->grants_upto = redis_reply_number(redis_reply_at(reply, 0));
	for (size_t i = 2; more && i < redis_reply_len(reply); i++)
		more = tell_grants(redis_reply_at(reply, i), redis_reply_at(reply, 1), fn, arg);
	return true;
}

/* Folding. */

struct folding {
	struct ledger_redis *own;
	char *boot; /* that is over; NULL: none */
	char *day;  /* of which it has grants; NULL: none */
	bool last;  /* no other day has */
	struct ledger_redis_effects effects;
};

static void folding_fini(struct folding *f)
{
	free(f->boot);
	free(f->day);
	ledger_redis_effects_fini(&f->effects);
}

static bool find_over(struct folding *f, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(f->own, "SRANDMEMBER", "over");
	AUTO(redis_reply) *reply = NULL;

	if (!redis_run(f->own->redis, call, &reply, err))
		return false;
	if (!redis_reply_is_nil(reply))
		f->boot = str_dup(redis_reply_str(reply));
	return true;
}

static bool find_day(struct folding *f, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(f->own, "SMEMBERS", "grants");
	AUTO(redis_reply) *reply = NULL;

	if (!redis_run(f->own->redis, call, &reply, err))
		return false;
	f->last = true;
	for (size_t i = 0; i < redis_reply_len(reply); i++) {
		struct str boot = redis_reply_str(redis_reply_at(reply, i)), day;

		if (!str_until(&boot, ' ', &day) || !str_is(boot, f->boot))
			continue;
		if (f->day)
			f->last = false;
		else
			f->day = str_dup(day);
	}
	return true;
}

static struct redis_call *rows_call(const struct folding *f, const char *command)
{
	return ledger_redis_call(f->own, command, grants_key(f->day, f->boot).text);
}

static void put_folded(struct folding *f, struct str apikey, struct str row, struct str sum)
{
	uint64_t granted = 0, used = 0, all_granted = 0, all_used = 0;

	(void)!parse_row(row, &granted, &used);
	(void)!parse_row(sum, &all_granted, &all_used);
	put_row(f->own, grants_key(f->day, "").text, apikey, all_granted + used, all_used + used,
		&f->effects);
	ledger_redis_change(f->own, &f->effects, "HDEL", grants_key(f->day, f->boot).text, 1);
	ledger_redis_effect_word(&f->effects, apikey);
}

/* `rows` are names and values; the sums of the same keys are read for them. */
static bool fold_rows(struct folding *f, const struct redis_reply *rows, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(f->own, "HMGET", grants_key(f->day, "").text);
	AUTO(redis_reply) *sums = NULL;

	for (size_t i = 0; i + 1 < redis_reply_len(rows); i += 2)
		redis_call_str(call, redis_reply_str(redis_reply_at(rows, i)));
	if (!redis_reply_len(rows))
		return true;
	if (!redis_run(f->own->redis, call, &sums, err))
		return false;
	for (size_t i = 0; i + 1 < redis_reply_len(rows); i += 2)
		put_folded(f, redis_reply_str(redis_reply_at(rows, i)),
			redis_reply_str(redis_reply_at(rows, i + 1)),
			redis_reply_str(redis_reply_at(sums, i / 2)));
	put_grants_of(f->own, f->day, "", &f->effects);
	return true;
}

static void end_day(struct folding *f)
{
	AUTO_FINI(buf) name = buf_limit(USAGE_NAME_MAX + 32);

	buf_format(&name, "%s %s", f->day, f->boot);
	ledger_redis_change(f->own, &f->effects, "SREM", "grants", 1);
	ledger_redis_effect_word(&f->effects, buf_str(&name));
}

static bool end_boot(struct folding *f, struct error *err)
{
	struct ledger_redis_boots known;
	struct ledger_boot told = { 0 };

	if (!ledger_redis_read_boot(f->own, f->boot, &known, err))
		return false;
	known.finished = FOLDED;
	raise_boot(f->own, known.worker, f->boot, &known, &told, &f->effects);
	ledger_redis_change(f->own, &f->effects, "SREM", "over", 1);
	ledger_redis_change_text(&f->effects, f->boot);
	return true;
}

static bool fold_day(struct folding *f, size_t most, bool *ret_whole, struct error *err)
{
	AUTO(redis_call) *count = rows_call(f, "HLEN");
	AUTO(redis_call) *some = rows_call(f, "HRANDFIELD");
	AUTO(redis_reply) *len = NULL;
	AUTO(redis_reply) *rows = NULL;

	redis_call_number(some, most);
	redis_call_text(some, "WITHVALUES");
	if (!redis_run(f->own->redis, count, &len, err) || !redis_run(f->own->redis, some, &rows, err) ||
		!fold_rows(f, rows, err))
		return false;
	*ret_whole = redis_reply_number(len) <= most;
	if (*ret_whole)
		end_day(f);
	return true;
}

bool ledger_redis_fold(struct ledger *ledger, size_t most, bool *ret_more, struct error *err)
{
	AUTO_FINI(folding) f = { .own = ledger_redis_of(ledger) };
	struct ledger_entry entry = { 0 };
	bool whole = true, more;

	ledger_redis_effects_init(&f.effects);
	if (!ledger_redis_may_read(f.own, err) || !find_over(&f, err))
		return false;
	more = f.boot;
	if (more && (!find_day(&f, err) || (f.day && !fold_day(&f, most, &whole, err))))
		return false;
	if (more && whole && f.last && !end_boot(&f, err))
		return false;
	if (more && !ledger_redis_commit_plain(f.own, &f.effects, &entry, err))
		return false;
	*ret_more = more;
	return true;
}
